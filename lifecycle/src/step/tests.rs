//! Every path of the step, and random histories against a small world.

mod histories;
mod lives;
mod paths;
