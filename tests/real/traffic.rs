//! Requests through a load balancer, all the while, and how many of them fail.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::{Node, wait_until};
use crate::http;

/// The pause between two requests of [`Traffic`].
const PAUSE: Duration = Duration::from_millis(10);

/// `GET /` of haproxy, on a connection of its own: the body.
pub fn get(ip: Ipv4Addr) -> Result<String, String> {
    match http::get((ip, 8000), "/") {
        Ok(response) if response.status == 200 => Ok(response.body),
        Ok(response) => Err(format!("{response:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// About a hundred requests per second, one after the other: whatever dies, at most one is in flight to it.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Traffic {
    pub fn through(front: &Node) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ip, stopped, count) = (front.ip, Arc::clone(&stop), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            let mut errors = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match get(ip) {
                    Ok(_) => _ = count.fetch_add(1, Ordering::Relaxed),
                    Err(error) => errors.push(error),
                }
                std::thread::park_timeout(PAUSE);
            }
            errors
        });
        let traffic = Self { stop, answered, thread };
        traffic.goes_on();
        traffic
    }

    /// Waits for some more answers: what was just done has been met by requests.
    pub fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        wait_until("requests are answered", || self.answered.load(Ordering::Relaxed) >= before + 30);
    }

    /// Ends it. No more requests than these may have failed.
    pub fn end(self, in_flight: usize) {
        self.goes_on();
        self.stop.store(true, Ordering::Relaxed);
        let errors = self.thread.join().expect("the requests end");
        println!("{} requests answered, {} failed", self.answered.load(Ordering::Relaxed), errors.len());
        assert!(errors.len() <= in_flight, "{} requests failed: {errors:#?}", errors.len());
    }
}
