//! All tests of whole nodes, in one binary: one link step.

mod bad_input;
mod chaos;
mod cluster;
mod context;
mod counts;
mod crash;
mod explain;
mod export;
mod faults;
mod foreign_tools;
mod forward;
mod gossip;
mod oklog;
mod oklog_nodes;
mod repair;
mod sdk_outside;
mod sim;
mod tail;
mod tcp_lines;
mod tidy;
mod var_log;
