//! Model checking of elections: every order of events of a small group, run through the code that ships.
//!
//! Three voters, two of them candidates. Messages are lost, reordered and duplicated; a few come very late. Members
//! crash, with and without their last write, and start again. Clocks drift by 0.9 %.
//!
//! A run is what happens when nothing goes wrong, and then every way in which up to so many things do: any message,
//! at any point, may be lost, held back or repeated, any member may crash. What is held back arrives, and who crashed
//! starts again, after any of the later deadlines, or never. Time moves from one deadline of a member to the next.
//!
//! The council stays as it is, or grows from one voter to three, or shrinks from three to one, while a seat is held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use stateright::{Checker, Model, Property};
use sup::base::{Mono, NodeId, Now, Seat, Term, Wall};
use sup::election::{Candidacy, Council, Election, ElectionAction, ElectionConfig, ElectionMessage, GroupRules, View};

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
    /// How many voters the group wants.
    council_size: usize,
    wanted: Wanted,
}

/// What has to happen in some run, lest nothing is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    SecondTerm,
    /// So many changes of the council.
    Changes(u64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    election: Option<Election>,
    disk: Bytes,
    incarnation: u64,
    /// Writes that are not on disk yet, and what may be sent only when they are.
    writing: Vec<(u64, Bytes)>,
    held_back: Vec<(u64, usize, ElectionMessage)>,
    /// The seats that it holds: the term, and until when in true time.
    holds: BTreeMap<Seat, (Term, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// True time, in microseconds.
    at: u64,
    members: Vec<Member>,
    network: BTreeSet<(usize, usize, ElectionMessage)>,
    late: BTreeSet<(usize, usize, ElectionMessage)>,
    faults_left: u8,
    highest: BTreeMap<Seat, Term>,
    terms_fell: bool,
    /// How often the leader's seat was taken.
    seated: u8,
    /// The councils that were ever known, by their place in the line.
    councils: BTreeMap<u64, Council>,
    forked: bool,
    /// Of how many voters the council is to be.
    council_size: usize,
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

fn config(member: usize, incarnation: u64, council_size: usize) -> ElectionConfig {
    ElectionConfig {
        me: id(member),
        group: "redis.default".parse().unwrap(),
        ttl: TTL,
        longest_ttl: TTL,
        rules: Some(GroupRules { min_members: MEMBERS, council_size, replace_voter_after: Duration::from_secs(60) }),
        incarnation,
        seed: 1,
    }
}

/// All are alive as far as the ring knows; the last one is not eligible.
fn view() -> View {
    let member =
        |member| (id(member), Candidacy { alive: true, present: true, eligible: member < 2, suitability: None });
    View {
        members: (0..MEMBERS).map(member).collect(),
        departed: BTreeSet::new(),
        gone: BTreeSet::new(),
        seats: BTreeSet::from([Seat::Leader]),
        ready: true,
        published: BTreeMap::new(),
        published_council: None,
        // Who founds a council asks nobody first here: the model is to hold without that.
        ring: BTreeSet::new(),
    }
}

/// Lets the members found their council with nothing going wrong, and returns what is on their disks then.
fn found_council(council_size: usize) -> Vec<Bytes> {
    let mut elections: Vec<Election> = (0..MEMBERS)
        .map(|member| Election::new(config(member, 1, council_size), None, local(member, 0)).unwrap())
        .collect();
    let mut disks = vec![Bytes::new(); MEMBERS];
    let mut published = None;
    for at in (0..5_000_000).step_by(10_000) {
        for (member, election) in elections.iter_mut().enumerate() {
            // Nobody stands meanwhile: no seat is to be promised yet.
            let mut view = view();
            view.members.values_mut().for_each(|candidacy| (candidacy.present, candidacy.eligible) = (false, false));
            view.published_council = published.clone();
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
                            ElectionAction::PublishCouncil(facts) => published = Some(facts),
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
        if let Some(council) = election.status().council {
            let known = self.councils.entry(council.version.1).or_insert_with(|| council.clone());
            self.forked |= *known != council;
        }
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
                ElectionAction::Held { seat, term, until } => {
                    let highest = self.highest.entry(seat.clone()).or_default();
                    self.terms_fell |= term <= *highest;
                    *highest = term.max(*highest);
                    self.seated += u8::from(seat == Seat::Leader);
                    self.members[member].holds.insert(seat, (term, truly(member, until)));
                }
                ElectionAction::Renewed { seat, term, until } => {
                    self.members[member].holds.insert(seat, (term, truly(member, until)));
                }
                ElectionAction::Lost { seat, .. } => drop(self.members[member].holds.remove(&seat)),
                ElectionAction::Publish { .. } | ElectionAction::PublishCouncil(_) | ElectionAction::StatusChanged => {}
            }
        }
    }

    fn start(&mut self, member: usize) {
        let entry = &mut self.members[member];
        entry.incarnation += 1;
        let now = local(member, self.at);
        let mut election =
            Election::new(config(member, entry.incarnation, self.council_size), Some(&entry.disk), now).unwrap();
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

    fn holders(&self, seat: &Seat) -> usize {
        let holds = |member: &&Member| member.holds.get(seat).is_some_and(|(_, until)| *until > self.at);
        self.members.iter().filter(holds).count()
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
            holds: BTreeMap::new(),
        };
        let mut state = State {
            at: 0,
            members: self.disks.iter().map(member).collect(),
            network: BTreeSet::new(),
            late: BTreeSet::new(),
            faults_left: self.faults,
            highest: BTreeMap::new(),
            terms_fell: false,
            seated: 0,
            councils: BTreeMap::new(),
            forked: false,
            council_size: self.council_size,
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
                entry.holds.clear();
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
            Property::always("at most one member holds a seat", |_, state: &State| {
                [Seat::Leader, Seat::Steward].iter().all(|seat| state.holders(seat) <= 1)
            }),
            Property::always("a council has one successor", |_, state: &State| !state.forked),
            Property::always("terms strictly grow", |_, state: &State| !state.terms_fell),
            Property::sometimes("a member holds the seat", |_, state: &State| state.holders(&Seat::Leader) == 1),
            Property::sometimes("what is to be checked happens", |group: &Self, state: &State| match group.wanted {
                Wanted::SecondTerm => state.seated > 1,
                Wanted::Changes(changes) => state.councils.contains_key(&changes) && state.holders(&Seat::Leader) == 1,
            }),
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

fn as_it_is(until_ms: u64, faults: u8) -> Group {
    let wanted = Wanted::SecondTerm;
    Group { disks: found_council(MEMBERS), until_ms, faults, council_size: MEMBERS, wanted }
}

fn changing(from: usize, to: usize, changes: u64, until_ms: u64, faults: u8) -> Group {
    let wanted = Wanted::Changes(changes);
    Group { disks: found_council(from), until_ms, faults, council_size: to, wanted }
}

#[test]
fn no_single_fault_in_three_leases_seats_two() {
    explore("one fault", as_it_is(3_000, 1));
}

#[test]
fn no_two_faults_around_the_end_of_a_lease_seat_two() {
    explore("two faults", as_it_is(1_300, 2));
}

#[test]
fn no_single_fault_while_a_council_grows_from_one_voter_to_three_seats_two() {
    explore("growing, one fault", changing(1, 3, 2, 3_400, 1));
}

#[test]
fn no_single_fault_while_a_council_shrinks_from_three_voters_to_one_seats_two() {
    explore("shrinking, one fault", changing(3, 1, 2, 3_400, 1));
}

#[test]
fn no_two_faults_in_one_change_of_a_council_seat_two() {
    explore("one change, two faults", changing(1, 3, 1, 1_200, 2));
}
