//! Real supervisors, real services, real kills: what a user relies on, seen from outside through `sup` itself.
//!
//! Each test has its own loopback addresses and its own directory, and takes down all that it started.

mod access;
mod bad_input;
mod demo;
mod faults;
mod fleet;
mod harness;
mod history;
mod http;
mod init;
mod keys;
mod lost;
mod netns;
mod partition;
mod redis;
mod redis_client;
mod release;
mod repair;
mod ring;
mod rollout;
mod rollout_leader;
mod rollout_redis;
mod rollout_web;
mod store;
mod switch;
mod traffic;
mod web;
