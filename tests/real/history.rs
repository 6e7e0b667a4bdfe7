//! What the services of a led group said of themselves, over time, and whether two of them led at once.
//!
//! A client on each host asks the service there, all the while, whether it leads. An answer with a term stands for a
//! write of that term, which took effect at some instant between the question and the answer. Terms order the holders:
//! if one of a lower term was asked after one of a higher term had answered, the writes of two holders interleave. The
//! argument is that of Herlihy and Wing, "Linearizability" (1990), for a register that holds the highest term.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http;
use crate::netns::Hosts;

/// The port of the demo service.
const PORT: u16 = 8080;
/// The pause between two questions of one client.
const PAUSE: Duration = Duration::from_millis(3);

/// A service said that it leads.
#[derive(Debug, Clone, Copy)]
struct Claim {
    host: usize,
    term: u64,
    asked: Instant,
    answered: Instant,
}

/// Two that led at once.
#[derive(Debug)]
pub struct Overlap(String);

impl fmt::Display for Overlap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A store that takes a write only from a term that is not lower than any it has seen: what a service is to do with
/// its term, where its process may be paused at any instant.
#[derive(Default)]
struct Fence {
    highest: u64,
    refused: usize,
}

/// All that was said since it began.
pub struct History {
    stop: Arc<AtomicBool>,
    claims: Arc<Mutex<Vec<Claim>>>,
    fence: Arc<Mutex<Fence>>,
    clients: Vec<JoinHandle<()>>,
}

impl History {
    /// Asks the services of all hosts from now on, each from its own host.
    pub fn begin(hosts: &Hosts) -> Self {
        let (stop, claims, fence) = (Arc::default(), Arc::default(), Arc::default());
        let mut history = Self { stop, claims, fence, clients: Vec::new() };
        for (host, node) in hosts.ring.nodes.iter().enumerate() {
            let (stop, claims, fence) =
                (Arc::clone(&history.stop), Arc::clone(&history.claims), Arc::clone(&history.fence));
            let ip = node.ip;
            history.clients.push(hosts.within(host, move || {
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    if let Ok(answer) = http::get((ip, PORT), "/").map(|answer| answer.json())
                        && answer["role"] == "leader"
                        && let Some(term) = answer["term"].as_u64()
                    {
                        let answered = Instant::now();
                        let mut fence = fence.lock().expect("nobody panics who holds it");
                        if term < fence.highest {
                            fence.refused += 1;
                        }
                        fence.highest = fence.highest.max(term);
                        claims.lock().expect("nobody panics who holds it").push(Claim { host, term, asked, answered });
                    }
                    std::thread::park_timeout(PAUSE);
                }
            }));
        }
        history
    }

    /// How many answers there are of leaders whose term is higher than this.
    pub fn since(&self, term: u64) -> usize {
        self.claims.lock().expect("nobody panics who holds it").iter().filter(|claim| claim.term > term).count()
    }

    /// The highest term that was heard of.
    pub fn term(&self) -> u64 {
        self.fence.lock().expect("nobody panics who holds it").highest
    }

    /// How many writes of a lower term than one before would have been refused by a store that looks at the term.
    pub fn refused(&self) -> usize {
        self.fence.lock().expect("nobody panics who holds it").refused
    }

    /// Whether two of different terms led at once, or two of the same term at all.
    pub fn check(&self) -> Result<(), Overlap> {
        let claims = self.claims.lock().expect("nobody panics who holds it");
        one_host_per_term(&claims)?;
        none_after_a_higher_term(&claims)
    }

    /// Whether two had the same term: what no store that looks at the term could tell apart.
    pub fn check_terms(&self) -> Result<(), Overlap> {
        one_host_per_term(&self.claims.lock().expect("nobody panics who holds it"))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            if client.join().is_err() {
                eprintln!("a client panicked");
            }
        }
    }
}

fn one_host_per_term(claims: &[Claim]) -> Result<(), Overlap> {
    let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
    for claim in claims {
        let holder = *holders.entry(claim.term).or_insert(claim.host);
        if holder != claim.host {
            return Err(Overlap(format!("hosts {holder} and {} both led in term {}", claim.host, claim.term)));
        }
    }
    Ok(())
}

fn none_after_a_higher_term(claims: &[Claim]) -> Result<(), Overlap> {
    let mut by_answer: Vec<&Claim> = claims.iter().collect();
    by_answer.sort_by_key(|claim| claim.answered);
    let mut by_question: Vec<&Claim> = claims.iter().collect();
    by_question.sort_by_key(|claim| claim.asked);
    // The highest term that had answered before a question was asked.
    let (mut highest, mut answers): (Option<&Claim>, _) = (None, by_answer.into_iter().peekable());
    for claim in by_question {
        while let Some(answer) = answers.next_if(|answer| answer.answered < claim.asked) {
            highest = highest.filter(|highest| highest.term >= answer.term).or(Some(answer));
        }
        if let Some(newer) = highest.filter(|newer| newer.term > claim.term) {
            return Err(Overlap(format!(
                "host {} led in term {} {:?} after host {} led in term {}",
                claim.host,
                claim.term,
                claim.asked - newer.answered,
                newer.host,
                newer.term
            )));
        }
    }
    Ok(())
}

/// Claims as (host, term, asked, answered), in milliseconds.
fn claims(of: &[(usize, u64, u64, u64)]) -> Vec<Claim> {
    let begin = Instant::now();
    let at = |ms: u64| begin + Duration::from_millis(ms);
    of.iter()
        .map(|&(host, term, asked, answered)| Claim { host, term, asked: at(asked), answered: at(answered) })
        .collect()
}

#[test]
fn what_may_have_happened_in_the_order_of_terms_is_no_overlap() {
    let history = claims(&[(0, 1, 0, 5), (0, 1, 10, 30), (1, 2, 20, 25), (0, 3, 40, 41)]);
    assert!(none_after_a_higher_term(&history).is_ok() && one_host_per_term(&history).is_ok());
}

#[test]
fn a_lower_term_after_a_higher_one_is_an_overlap_and_so_are_two_of_the_same_term() {
    let late = claims(&[(1, 2, 20, 25), (0, 1, 26, 30)]);
    let overlap = none_after_a_higher_term(&late).unwrap_err().to_string();
    assert_eq!(overlap, "host 0 led in term 1 1ms after host 1 led in term 2");
    let twins = claims(&[(1, 2, 20, 25), (0, 2, 26, 30)]);
    assert_eq!(one_host_per_term(&twins).unwrap_err().to_string(), "hosts 1 and 0 both led in term 2");
}
