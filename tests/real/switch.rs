//! A network in user space: a TUN device for each host, and between each two of them a path of its own in each
//! direction, which can be cut, lose, and delay what it carries.

use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Longer than any packet of a device with the usual MTU.
const PACKET: usize = 2048;
/// How many packets may be under way at once, delayed: beyond that they are lost, as in a router.
const UNDER_WAY: usize = 10_000;
/// Which packets are lost, as far as a test can repeat that.
const SEED: u64 = 1;
/// Where the destination of an IPv4 packet ends.
const DESTINATION: usize = 19;

/// What becomes of what one host sends another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path {
    pub is_cut: bool,
    /// How many of a hundred packets are lost.
    pub loss: u8,
    pub delay: Duration,
    /// A packet takes up to so much longer or shorter, by chance; one may overtake another.
    pub jitter: Duration,
}

/// One end of the network: a host's device and the last byte of its address.
pub struct Port {
    pub device: File,
    pub address: u8,
}

/// The network; it ends when it is dropped.
pub struct Switch {
    /// From which port to which.
    paths: Arc<Mutex<Vec<Vec<Path>>>>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// A packet that is under way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    due: std::cmp::Reverse<Instant>,
    to: usize,
    packet: Vec<u8>,
}

/// Makes a TUN device in the network namespace of the calling thread. It is there for as long as its file is open.
#[allow(unsafe_code, reason = "the ioctl that makes a device has no safe form")]
pub fn make_device(name: &str) -> File {
    nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, libc::ifreq);
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .expect("root can open /dev/net/tun");
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: i16::try_from(flags).expect("two flags of sixteen") },
    };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = libc::c_char::try_from(from).expect("an ASCII name");
    }
    // SAFETY: the file is open, and the request is a whole `ifreq` that outlives the call.
    unsafe { tun_set_iff(device.as_raw_fd(), &raw const request) }.expect("root can make a TUN device");
    device
}

impl Switch {
    pub fn start(ports: Vec<Port>) -> Self {
        let paths = Arc::new(Mutex::new(vec![vec![Path::default(); ports.len()]; ports.len()]));
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an event file"));
        let (known, ended) = (Arc::clone(&paths), Arc::clone(&stop));
        let thread = std::thread::spawn(move || carry(&ports, &known, &ended));
        Self { paths, stop, thread: Some(thread) }
    }

    /// Changes the paths for which this holds.
    pub fn change(&self, change: impl Fn(usize, usize, &mut Path)) {
        let mut paths = self.paths.lock().expect("nobody panics who holds it");
        for (from, row) in paths.iter_mut().enumerate() {
            for (to, path) in row.iter_mut().enumerate() {
                change(from, to, path);
            }
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop.write(1).expect("its thread can be told");
        if let Some(thread) = self.thread.take() {
            thread.join().expect("its thread ends well");
        }
    }
}

fn carry(ports: &[Port], paths: &Mutex<Vec<Vec<Path>>>, stop: &EventFd) {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut under_way: BinaryHeap<Delayed> = BinaryHeap::new();
    let mut buffer = [0; PACKET];
    loop {
        let timeout = match under_way.peek() {
            // Rounded up: what is not due yet is not asked for over and over.
            Some(next) => {
                let wait = next.due.0.saturating_duration_since(Instant::now()).as_millis() + 1;
                PollTimeout::try_from(wait).expect("delays are short")
            }
            None => PollTimeout::NONE,
        };
        let mut fds: Vec<PollFd> =
            ports.iter().map(|port| PollFd::new(port.device.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("the devices can be waited for: {error}"),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        if ready[ports.len()] {
            return;
        }
        for from in (0..ports.len()).filter(|from| ready[*from]) {
            while let Some(length) = read(&ports[from].device, &mut buffer) {
                let packet = &buffer[..length];
                let is_ipv4 = packet.first().is_some_and(|first| first >> 4 == 4) && length > DESTINATION;
                let to = ports.iter().position(|port| is_ipv4 && port.address == packet[DESTINATION]);
                let Some(to) = to else { continue };
                let path = paths.lock().expect("nobody panics who holds it")[from][to];
                if path.is_cut || random.random_range(0..100) < path.loss || under_way.len() >= UNDER_WAY {
                    continue;
                }
                let delay = delay(path, &mut random);
                if delay.is_zero() {
                    write(&ports[to].device, packet);
                } else {
                    let due = std::cmp::Reverse(Instant::now() + delay);
                    under_way.push(Delayed { due, to, packet: packet.to_vec() });
                }
            }
        }
        while under_way.peek().is_some_and(|next| next.due.0 <= Instant::now()) {
            let next = under_way.pop().expect("there is one");
            write(&ports[next.to].device, &next.packet);
        }
    }
}

fn delay(path: Path, random: &mut StdRng) -> Duration {
    let shortest = path.delay.saturating_sub(path.jitter);
    shortest + (path.delay + path.jitter - shortest).mul_f64(random.random())
}

fn read(mut device: &File, buffer: &mut [u8]) -> Option<usize> {
    match device.read(buffer) {
        Ok(length) => Some(length),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("a device can be read: {error}"),
    }
}

/// What a device does not take is lost, as is what a host that is not up yet is sent.
fn write(mut device: &File, packet: &[u8]) {
    let _lost = device.write(packet);
}
