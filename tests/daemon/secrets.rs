//! Secrets are never disclosed. Keys, tokens and kubeconfigs contain a marker, and the tests search for it in all that the
//! program prints, logs at any level, answers and writes to the cluster.

mod api_server;
mod clusters;
mod kubeconfig;
mod mark;
mod panics;
mod program;
mod settings;
