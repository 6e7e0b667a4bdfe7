//! Real supervisors, real services, real kills: what a user relies on, seen from outside through `sup` itself.
//!
//! Each test has its own loopback addresses and its own directory, and takes down all that it started.

mod bad_input;
mod demo;
mod files;
mod harness;
mod http;
mod init;
mod netns;
mod partition;
mod redis;
mod redis_client;
mod ring;
mod traffic;
mod web;
