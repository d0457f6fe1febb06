//! What the tests of whole nodes share: processes, requests, patience.

pub mod certificates;
pub mod cluster;
pub mod network;
pub mod oklog_ingester;
pub mod process;
pub mod rabbitmq;
pub mod relay;
pub mod small_disk;
