//! The whole daemon on an embedded cluster, over real sockets.

mod daemon {
    mod adoption;
    mod away;
    mod calls;
    mod contract;
    mod races;
    mod restart;
    mod support;
    mod urls;
    mod watch;
}
