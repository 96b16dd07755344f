//! Every path of the step, and random histories against a small world.

mod bench;
mod doubts;
mod histories;
mod holds;
mod lives;
mod paths;
mod requirements;
mod uses;
