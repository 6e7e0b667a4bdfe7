//! Reading `plan.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::de::DeTable;

use super::{
    BindSpec, ElectionSpec, Exports, HOOK_TIMEOUT, Health, HealthCheck, Manifest, Missing, Requires, Resource, Restart,
    ServiceSpec,
};
use crate::base::limits::{COUNCIL_MAX, VERSION_CHARS};
use crate::base::{Name, Version};
use crate::plan::complaint::{Complaint, Complaints, Source, nearest};
use crate::plan::hook::HookName;
use crate::plan::reader::{Entry, Reader, Section};

/// The shortest time from one health check to the next, and the shortest time that one may take.
const SHORTEST_CHECK: Duration = Duration::from_millis(50);
/// The shortest delay of a restart: none at all would be a busy loop.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);
/// The shortest time after which a silent voter may be replaced: less than the ring takes to see that a member is down.
const SHORTEST_VOTER_SILENCE: Duration = Duration::from_secs(1);
/// Most members that can be asked for before a first election.
const MOST_MEMBERS: usize = 2_000;

/// Reads `plan.toml` of a plan that has these hooks. All mistakes are collected, not only the first.
///
/// # Errors
/// When it is not TOML, or not a manifest.
pub fn parse(source: &Source, hooks: &BTreeSet<HookName>) -> Result<Manifest, Complaints> {
    let document = DeTable::parse(source.text()).map_err(|error| Complaint::from_toml_error(source, &error))?;
    let mut read = Reader::new(source);
    let mut top = Section::new("", document.get_ref());

    let name = top.take("name");
    let version = top.take("version");
    for (key, entry) in [("name", &name), ("version", &version)] {
        if entry.is_none() {
            read.complain(0..0, format!("the plan has no `{key}`"));
        }
    }
    let name = name.and_then(|entry| read.parsed::<Name>(&entry));
    let version = version.and_then(|entry| self::version(&mut read, &entry));

    let origin = top.take("origin").and_then(|entry| read.parsed::<Name>(&entry));
    let description = top.take("description").and_then(|entry| read.string(&entry)).unwrap_or_default();
    let missing = match top.take("strict-templates").and_then(|entry| read.boolean(&entry)) {
        Some(true) => Missing::Error,
        Some(false) | None => Missing::Empty,
    };
    let service = section(&mut read, &mut top, "service", service);
    let exports = section(&mut read, &mut top, "exports", exports);
    let binds = section(&mut read, &mut top, "binds", binds);
    let binds_optional = section(&mut read, &mut top, "binds-optional", |read, section| {
        let optional = self::binds(read, section);
        optional.into_iter().filter(|(name, _)| !binds.contains_key(name)).collect()
    });
    let hook_timeouts = section(&mut read, &mut top, "hooks", |read, section| timeouts(read, section, hooks));
    let (health, hook_timeouts) = health(&mut read, &mut top, hook_timeouts, hooks);
    let restart = section(&mut read, &mut top, "restart", restart);
    let requires = section(&mut read, &mut top, "requires", requires);
    let election = section(&mut read, &mut top, "election", election);
    read.finish_section(top);

    if service.run.is_none() && !hooks.contains(&HookName::Run) {
        let help = "add `run` to [service], or write hooks/run";
        read.complain_helpfully(0..0, "nothing says how the service is run", help);
    }
    // Without either there is a complaint, and no manifest.
    let Some((name, version)) = name.zip(version) else { return Err(read.finish(()).err().unwrap_or_default()) };
    read.finish(Manifest {
        origin,
        description,
        missing,
        service,
        exports,
        binds,
        binds_optional,
        health,
        restart,
        requires,
        hook_timeouts,
        election,
        ..Manifest::new(name, version)
    })
}

/// What `read_section` makes of the table `key`; the default if there is none.
fn section<'a, T: Default>(
    read: &mut Reader<'_>,
    top: &mut Section<'a>,
    key: &'static str,
    read_section: impl FnOnce(&mut Reader<'_>, Section<'a>) -> T,
) -> T {
    let section = top.take(key).and_then(|entry| read.section(entry));
    section.map(|section| read_section(read, section)).unwrap_or_default()
}

fn version(read: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Version> {
    let text = read.text(entry)?;
    match text.parse() {
        Ok(version) => Some(version),
        Err(_) => {
            let message = format!("`version` is 1 to {VERSION_CHARS} of letters, digits and `.-_+~`, not {text:?}");
            read.complain(entry.value_span(), message);
            None
        }
    }
}

fn service(read: &mut Reader<'_>, mut section: Section<'_>) -> ServiceSpec {
    let default = ServiceSpec::default();
    let spec = ServiceSpec {
        run: section.take("run").and_then(|entry| read.text(&entry)),
        user: section.take("user").and_then(|entry| read.text(&entry)),
        group: section.take("group").and_then(|entry| read.text(&entry)),
        shutdown_signal: section
            .take("shutdown-signal")
            .and_then(|entry| read.parsed(&entry))
            .unwrap_or(default.shutdown_signal),
        shutdown_timeout: section
            .take("shutdown-timeout")
            .and_then(|entry| read.period(&entry))
            .unwrap_or(default.shutdown_timeout),
        env: self::section(read, &mut section, "env", env),
        rlimits: self::section(read, &mut section, "rlimits", rlimits),
    };
    read.finish_section(section);
    spec
}

fn env(read: &mut Reader<'_>, section: Section<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, span, value) in read.string_map(section) {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            read.complain(span, format!("{name:?} cannot be the name of an environment variable"));
        } else if name.starts_with("SUP_") {
            read.complain(span, format!("`{name}`: the names that start with SUP_ are the supervisor's"));
        } else if value.contains('\0') {
            read.complain(span, format!("the value of `{name}` has a zero byte"));
        } else {
            env.insert(name, value);
        }
    }
    env
}

fn rlimits(read: &mut Reader<'_>, mut section: Section<'_>) -> BTreeMap<Resource, u64> {
    let mut limits = BTreeMap::new();
    for resource in Resource::ALL {
        let limit = section.take(resource.as_str()).and_then(|entry| read.integer(&entry, 0..=i64::MAX));
        if let Some(limit) = limit {
            limits.insert(resource, limit.unsigned_abs());
        }
    }
    read.finish_section(section);
    limits
}

fn exports(read: &mut Reader<'_>, mut section: Section<'_>) -> Exports {
    let exposes = section.take("exposes").and_then(|entry| read.strings(&entry)).unwrap_or_default();
    let mut keys = BTreeMap::new();
    for (name, span, key) in read.string_map(section) {
        if key.split('.').any(str::is_empty) {
            read.complain(span, format!("`exports.{name}` is a dotted key of the config, not {key:?}"));
        } else {
            keys.insert(name, key);
        }
    }
    for (name, span) in &exposes {
        if !keys.contains_key(name) {
            let message = format!("`exposes` names {name:?}, which is not exported");
            match nearest(name, keys.keys().map(String::as_str)) {
                Some(near) => read.complain_helpfully(span.clone(), message, format!("did you mean `{near}`?")),
                None => read.complain(span.clone(), message),
            }
        }
    }
    Exports { keys, exposes: exposes.into_iter().map(|(name, _)| name).collect() }
}

fn binds(read: &mut Reader<'_>, section: Section<'_>) -> BTreeMap<Name, BindSpec> {
    let mut binds = BTreeMap::new();
    for (name, entry) in section.into_rest() {
        let exports = read.strings(&entry);
        match name.parse::<Name>() {
            Ok(name) => {
                let exports = exports.into_iter().flatten().map(|(export, _)| export).collect();
                binds.insert(name, BindSpec { exports });
            }
            Err(error) => read.complain(entry.key, error.to_string()),
        }
    }
    binds
}

fn timeouts(read: &mut Reader<'_>, section: Section<'_>, hooks: &BTreeSet<HookName>) -> BTreeMap<HookName, Duration> {
    let mut timeouts = BTreeMap::new();
    for (name, entry) in section.into_rest() {
        let key = entry.key.clone();
        let Some(mut section) = read.section(entry) else { continue };
        let entry = section.take("timeout");
        let timeout = entry.as_ref().and_then(|entry| read.period_at_least(entry, SHORTEST_CHECK));
        match (name.parse::<HookName>(), timeout) {
            (Err(error), _) => {
                let names = HookName::ALL.map(HookName::as_str);
                let help = match nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("hooks are {}", names.join(", ")),
                };
                read.complain_helpfully(key, error.to_string(), help);
            }
            (Ok(HookName::Run), _) => read.complain(key, "the `run` hook has no timeout: it is the service itself"),
            (Ok(hook), _) if !hooks.contains(&hook) => {
                read.complain(key, format!("the plan has no hooks/{hook} that could have a timeout"));
            }
            (Ok(hook), Some(timeout)) => {
                timeouts.insert(hook, timeout);
            }
            (Ok(_), None) => {}
        }
        read.finish_section(section);
    }
    timeouts
}

/// `[health]`, and the hooks' timeouts once more: `[health] timeout` holds for `hooks/health-check`, too, unless the
/// hook has its own; both then say the same.
fn health(
    read: &mut Reader<'_>,
    top: &mut Section<'_>,
    mut timeouts: BTreeMap<HookName, Duration>,
    hooks: &BTreeSet<HookName>,
) -> (Health, BTreeMap<HookName, Duration>) {
    let has_hook = hooks.contains(&HookName::HealthCheck);
    let mut health = Health::default();
    let mut timeout = None;
    let entry = top.take("health");
    if let Some(mut section) = entry.and_then(|entry| read.section(entry)) {
        let mut checks = Vec::new();
        for (key, check) in [
            ("http", HealthCheck::Http as fn(String) -> HealthCheck),
            ("tcp", HealthCheck::Tcp),
            ("exec", HealthCheck::Exec),
        ] {
            if let Some(entry) = section.take(key)
                && let Some(text) = read.text(&entry)
            {
                checks.push((entry.key.start, entry, check(text)));
            }
        }
        checks.sort_by_key(|(at, _, _)| *at);
        let mut checks = checks.into_iter();
        if let Some((_, first, check)) = checks.next() {
            if has_hook {
                let message = format!("`{}`: the plan has hooks/health-check, too; keep one", first.path);
                read.complain(first.key.clone(), message);
            }
            for (_, other, _) in checks {
                read.complain(other.key, format!("`{}` and `{}` exclude each other; keep one", other.path, first.path));
            }
            health.check = check;
        }
        let interval = section.take("interval").and_then(|entry| read.period_at_least(&entry, SHORTEST_CHECK));
        health.interval = interval.unwrap_or(health.interval);
        timeout = section.take("timeout").and_then(|entry| read.period_at_least(&entry, SHORTEST_CHECK));
        let failures = section.take("failures").and_then(|entry| read.integer(&entry, 1..=1_000));
        health.failures = failures.unwrap_or(health.failures);
        read.finish_section(section);
    }
    if has_hook {
        health.check = HealthCheck::Hook;
        health.timeout = *timeouts.entry(HookName::HealthCheck).or_insert(timeout.unwrap_or(HOOK_TIMEOUT));
    } else {
        health.timeout = timeout.unwrap_or(health.timeout);
    }
    (health, timeouts)
}

fn restart(read: &mut Reader<'_>, mut section: Section<'_>) -> Restart {
    let default = Restart::default();
    let min = section.take("min-backoff").and_then(|entry| read.period_at_least(&entry, SHORTEST_BACKOFF));
    let max_entry = section.take("max-backoff");
    let max = max_entry.as_ref().and_then(|entry| read.period(entry));
    let restart = Restart {
        min_backoff: min.unwrap_or(default.min_backoff),
        // A longer first delay alone raises the longest one with it.
        max_backoff: max.unwrap_or(default.max_backoff.max(min.unwrap_or_default())),
        cooldown: section.take("cooldown").and_then(|entry| read.period(&entry)).unwrap_or(default.cooldown),
        give_up_after: section
            .take("give-up-after")
            .and_then(|entry| read.integer(&entry, 0..=u32::MAX))
            .unwrap_or(default.give_up_after),
    };
    if let (Some(entry), Some(max)) = (max_entry, max)
        && max < restart.min_backoff
    {
        read.complain(entry.value_span(), "`restart.max-backoff` is shorter than `restart.min-backoff`");
    }
    read.finish_section(section);
    restart
}

fn requires(read: &mut Reader<'_>, mut section: Section<'_>) -> Requires {
    let commands = self::section(read, &mut section, "commands", |read, section| {
        read.string_map(section).into_iter().map(|(command, _, help)| (command, help)).collect()
    });
    read.finish_section(section);
    Requires { commands }
}

fn election(read: &mut Reader<'_>, mut section: Section<'_>) -> ElectionSpec {
    let resign_after_critical = section.take("resign-after-critical").and_then(|entry| read.period(&entry));
    let min_members = section.take("min-members").and_then(|entry| integer(read, &entry, 1, MOST_MEMBERS));
    let council_entry = section.take("council-size");
    let council_size = council_entry.as_ref().and_then(|entry| integer(read, entry, 1, COUNCIL_MAX));
    if let (Some(entry), Some(size)) = (council_entry, council_size)
        && size % 2 == 0
    {
        read.complain(entry.value_span(), "`election.council-size` is odd: an even council can be split in two halves");
    }
    let replace_voter_after =
        section.take("replace-voter-after").and_then(|entry| read.period_at_least(&entry, SHORTEST_VOTER_SILENCE));
    read.finish_section(section);
    ElectionSpec { resign_after_critical, min_members, council_size, replace_voter_after }
}

fn integer(read: &mut Reader<'_>, entry: &Entry<'_>, least: usize, most: usize) -> Option<usize> {
    read.integer(entry, least..=most)
}
