//! The event streams of a fleet of several clusters.

mod begin;
mod follower;
mod histories;
mod one;
mod twins;
mod world;
