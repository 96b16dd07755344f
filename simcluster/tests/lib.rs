//! The tests of the embedded cluster from outside. They are a package of their own, because `simcluster` is compiled with
//! optimizations for the simulations, which for tests would only take minutes.
