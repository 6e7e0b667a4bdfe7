//! Model checking of elections: every order of events of a small group, run through the code that ships.
//!
//! Three voters, two of them candidates. Messages are lost, reordered and duplicated; a few come very late. Members
//! crash, with and without their last write, and start again. Clocks drift by 0.9 %.
//!
//! A run is what happens when nothing goes wrong, and then every way in which up to so many things do: any message,
//! at any point, may be lost, held back or repeated, any member may crash. What is held back arrives, and who crashed
//! starts again, after any of the later deadlines, or never. Time moves from one deadline of a member to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use stateright::{Checker, Model, Property};
use sup::base::{Mono, NodeId, Now, Seat, Term, Wall};
use sup::election::{Candidacy, Election, ElectionAction, ElectionConfig, ElectionMessage, GroupRules, View};

const MEMBERS: usize = 3;
const TTL: Duration = Duration::from_secs(1);
const DRIFT_PPM: [i64; MEMBERS] = [-9000, 9000, 0];

/// How much goes wrong in one run.
#[derive(Clone, Debug)]
struct Group {
    /// What the disks hold at first: a confirmed council.
    disks: Vec<Bytes>,
    until_ms: u64,
    /// How many things go wrong.
    faults: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    election: Option<Election>,
    disk: Bytes,
    incarnation: u64,
    /// Writes that are not on disk yet, and what may be sent only when they are.
    writing: Vec<(u64, Bytes)>,
    held_back: Vec<(u64, usize, ElectionMessage)>,
    /// The seat that it holds: the term, and until when in true time.
    holds: Option<(Term, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// True time, in microseconds.
    at: u64,
    members: Vec<Member>,
    network: BTreeSet<(usize, usize, ElectionMessage)>,
    late: BTreeSet<(usize, usize, ElectionMessage)>,
    faults_left: u8,
    highest: Term,
    terms_fell: bool,
    seated: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Deliver(usize, usize, ElectionMessage),
    Lose(usize, usize, ElectionMessage),
    /// It arrives, and a copy of it much later.
    Duplicate(usize, usize, ElectionMessage),
    /// It arrives only much later.
    HoldBack(usize, usize, ElectionMessage),
    DeliverLate(usize, usize, ElectionMessage),
    /// The oldest write reaches the disk.
    Written(usize),
    /// Nothing is on its way: time goes on to the next deadline.
    Advance,
    Crash(usize, LastWrite),
    Restart(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LastWrite {
    Lost,
    Kept,
}

fn id(member: usize) -> NodeId {
    NodeId::from_u128(member as u128 + 1)
}

fn local(member: usize, at: u64) -> Now {
    let mono = i128::from(at) * i128::from(1_000_000 + DRIFT_PPM[member]) / 1_000_000;
    Now { mono: Mono(u64::try_from(mono).unwrap()), wall: Wall(at / 1000) }
}

/// The first true instant at which the member's clock shows `mono`.
fn truly(member: usize, mono: Mono) -> u64 {
    let rate = i128::from(1_000_000 + DRIFT_PPM[member]);
    u64::try_from((i128::from(mono.0) * 1_000_000 + rate - 1) / rate).unwrap()
}

fn config(member: usize, incarnation: u64) -> ElectionConfig {
    ElectionConfig {
        me: id(member),
        group: "redis.default".parse().unwrap(),
        ttl: TTL,
        longest_ttl: TTL,
        rules: Some(GroupRules {
            min_members: MEMBERS,
            council_size: MEMBERS,
            replace_voter_after: Duration::from_secs(60),
        }),
        incarnation,
        seed: 1,
    }
}

/// All are alive as far as the ring knows; the last one is not eligible.
fn view() -> View {
    let member =
        |member| (id(member), Candidacy { alive: true, present: member < 2, eligible: member < 2, suitability: None });
    View {
        members: (0..MEMBERS).map(member).collect(),
        departed: BTreeSet::new(),
        seats: BTreeSet::from([Seat::Leader]),
        ready: true,
        published: BTreeMap::new(),
        published_council: None,
    }
}

/// Lets the members found their council with nothing going wrong, and returns what is on their disks then.
fn found_council() -> Vec<Bytes> {
    let mut elections: Vec<Election> =
        (0..MEMBERS).map(|member| Election::new(config(member, 1), None, local(member, 0)).unwrap()).collect();
    let mut disks = vec![Bytes::new(); MEMBERS];
    for at in (0..5_000_000).step_by(10_000) {
        for (member, election) in elections.iter_mut().enumerate() {
            // Nobody stands meanwhile: no seat is to be promised yet.
            let mut view = view();
            view.members.values_mut().for_each(|candidacy| (candidacy.present, candidacy.eligible) = (false, false));
            election.set_view(local(member, at), view);
        }
        loop {
            let mut messages = Vec::new();
            for (member, election) in elections.iter_mut().enumerate() {
                loop {
                    let actions = election.drain();
                    if actions.is_empty() {
                        break;
                    }
                    for action in actions {
                        match action {
                            ElectionAction::Send { to, msg, .. } => messages.push((member, to, msg)),
                            ElectionAction::Persist { write, state } => {
                                disks[member] = state;
                                election.persisted(local(member, at), write, true);
                            }
                            _ => {}
                        }
                    }
                }
            }
            if messages.is_empty() {
                break;
            }
            for (from, to, msg) in messages {
                let to = (0..MEMBERS).find(|member| id(*member) == to).unwrap();
                elections[to].handle(local(to, at), id(from), msg);
            }
        }
        if elections.iter().all(|election| election.status().council.is_some()) {
            return disks;
        }
    }
    panic!("no council was founded");
}

impl State {
    fn carry_out(&mut self, member: usize) {
        let Some(election) = self.members[member].election.as_mut() else { return };
        for action in election.drain() {
            match action {
                ElectionAction::Send { to, msg, after } => {
                    let to = (0..MEMBERS).find(|member| id(*member) == to).unwrap();
                    let entry = &mut self.members[member];
                    match after.filter(|write| entry.writing.iter().any(|(writing, _)| writing == write)) {
                        Some(write) => entry.held_back.push((write, to, msg)),
                        None => drop(self.network.insert((member, to, msg))),
                    }
                }
                ElectionAction::Persist { write, state } => self.members[member].writing.push((write, state)),
                ElectionAction::Held { term, until, .. } => {
                    self.terms_fell |= term <= self.highest;
                    self.highest = self.highest.max(term);
                    self.seated += 1;
                    self.members[member].holds = Some((term, truly(member, until)));
                }
                ElectionAction::Renewed { term, until, .. } => {
                    self.members[member].holds = Some((term, truly(member, until)));
                }
                ElectionAction::Lost { .. } => self.members[member].holds = None,
                ElectionAction::Publish { .. } | ElectionAction::PublishCouncil(_) | ElectionAction::StatusChanged => {}
            }
        }
    }

    fn start(&mut self, member: usize) {
        let entry = &mut self.members[member];
        entry.incarnation += 1;
        let now = local(member, self.at);
        let mut election = Election::new(config(member, entry.incarnation), Some(&entry.disk), now).unwrap();
        election.set_view(now, view());
        entry.election = Some(election);
        self.carry_out(member);
    }

    fn deliver(&mut self, from: usize, to: usize, msg: ElectionMessage) {
        let now = local(to, self.at);
        if let Some(election) = self.members[to].election.as_mut() {
            election.handle(now, id(from), msg);
            self.carry_out(to);
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        let deadline = |(member, entry): (usize, &Member)| Some(truly(member, entry.election.as_ref()?.deadline()?));
        self.members.iter().enumerate().filter_map(deadline).min()
    }

    fn holders(&self) -> usize {
        self.members.iter().filter(|member| member.holds.is_some_and(|(_, until)| until > self.at)).count()
    }
}

impl Model for Group {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let member = |disk: &Bytes| Member {
            election: None,
            disk: disk.clone(),
            incarnation: 1,
            writing: Vec::new(),
            held_back: Vec::new(),
            holds: None,
        };
        let mut state = State {
            at: 0,
            members: self.disks.iter().map(member).collect(),
            network: BTreeSet::new(),
            late: BTreeSet::new(),
            faults_left: self.faults,
            highest: Term(0),
            terms_fell: false,
            seated: 0,
        };
        (0..MEMBERS).for_each(|member| state.start(member));
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        if state.faults_left > 0 {
            for (from, to, msg) in &state.network {
                actions.push(Step::Lose(*from, *to, msg.clone()));
                actions.push(Step::Duplicate(*from, *to, msg.clone()));
                actions.push(Step::HoldBack(*from, *to, msg.clone()));
            }
            for (member, entry) in state.members.iter().enumerate().filter(|(_, entry)| entry.election.is_some()) {
                actions.push(Step::Crash(member, LastWrite::Lost));
                if !entry.writing.is_empty() {
                    actions.push(Step::Crash(member, LastWrite::Kept));
                }
            }
        }
        if let Some((from, to, msg)) = state.network.first() {
            actions.push(Step::Deliver(*from, *to, msg.clone()));
            return;
        }
        if let Some(member) = state.members.iter().position(|member| !member.writing.is_empty()) {
            actions.push(Step::Written(member));
            return;
        }
        for (from, to, msg) in &state.late {
            actions.push(Step::DeliverLate(*from, *to, msg.clone()));
        }
        for (member, _) in state.members.iter().enumerate().filter(|(_, entry)| entry.election.is_none()) {
            actions.push(Step::Restart(member));
        }
        actions.push(Step::Advance);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Deliver(from, to, msg) => {
                state.network.remove(&(from, to, msg.clone()));
                state.deliver(from, to, msg);
            }
            Step::Lose(from, to, msg) => {
                state.faults_left -= 1;
                state.network.remove(&(from, to, msg));
            }
            Step::Duplicate(from, to, msg) => {
                state.faults_left -= 1;
                state.network.remove(&(from, to, msg.clone()));
                state.late.insert((from, to, msg.clone()));
                state.deliver(from, to, msg);
            }
            Step::HoldBack(from, to, msg) => {
                state.faults_left -= 1;
                state.network.remove(&(from, to, msg.clone()));
                state.late.insert((from, to, msg));
            }
            Step::DeliverLate(from, to, msg) => {
                state.late.remove(&(from, to, msg.clone()));
                state.deliver(from, to, msg);
            }
            Step::Written(member) => {
                let now = local(member, state.at);
                let entry = &mut state.members[member];
                let (write, bytes) = entry.writing.remove(0);
                entry.disk = bytes;
                let (ready, held_back) =
                    std::mem::take(&mut entry.held_back).into_iter().partition(|(after, _, _)| *after == write);
                entry.held_back = held_back;
                let ready: Vec<(u64, usize, ElectionMessage)> = ready;
                state.network.extend(ready.into_iter().map(|(_, to, msg)| (member, to, msg)));
                if let Some(election) = state.members[member].election.as_mut() {
                    election.persisted(now, write, true);
                    state.carry_out(member);
                }
            }
            Step::Advance => {
                let at = state.next_deadline()?;
                if at > self.until_ms * 1000 {
                    return None;
                }
                state.at = at.max(state.at);
                for member in 0..MEMBERS {
                    let now = local(member, state.at);
                    if let Some(election) = state.members[member].election.as_mut()
                        && election.deadline().is_some_and(|deadline| deadline <= now.mono)
                    {
                        election.tick(now);
                        state.carry_out(member);
                    }
                }
            }
            Step::Crash(member, last_write) => {
                state.faults_left -= 1;
                let entry = &mut state.members[member];
                entry.election = None;
                entry.holds = None;
                entry.held_back.clear();
                let writing = std::mem::take(&mut entry.writing);
                if let (LastWrite::Kept, Some((_, bytes))) = (last_write, writing.into_iter().next_back()) {
                    entry.disk = bytes;
                }
            }
            Step::Restart(member) => state.start(member),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("at most one member holds the seat", |_, state: &State| state.holders() <= 1),
            Property::always("terms strictly grow", |_, state: &State| !state.terms_fell),
            Property::sometimes("a member holds the seat", |_, state: &State| state.holders() == 1),
            Property::sometimes("a second term is seated", |_, state: &State| state.seated > 1),
        ]
    }
}

fn explore(name: &str, group: Group) {
    let begun = std::time::Instant::now();
    let checker = group.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} unique states, depth {}, {:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed()
    );
    assert!(checker.is_done(), "the space was not explored to its end");
    checker.assert_properties();
}

#[test]
fn no_single_fault_in_three_leases_seats_two() {
    explore("one fault", Group { disks: found_council(), until_ms: 3_000, faults: 1 });
}

#[test]
fn no_two_faults_around_the_end_of_a_lease_seat_two() {
    explore("two faults", Group { disks: found_council(), until_ms: 1_300, faults: 2 });
}
