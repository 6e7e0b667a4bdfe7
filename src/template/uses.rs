//! Which parts of the context a plan's templates can see.
//!
//! Most of a context is the members of the group, which change with every heartbeat of a rolling change, and most plans
//! look at the leader at most. What no template can see is left out: it is neither built nor compared.
//!
//! A path is taken for what it says where it stands; whatever could be reached in another way (the whole context, the
//! whole of `svc`, names that are computed) counts as seen.

use std::collections::BTreeSet;

use super::scan::tags;

/// The parts of a context that templates can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uses(Seen);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Everything,
    /// These of `svc`, and `bind` or not.
    Parts {
        svc: Part,
        bind: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole,
    Of(BTreeSet<String>),
}

impl Uses {
    /// Of templates that are not known.
    #[must_use]
    pub fn everything() -> Self {
        Self(Seen::Everything)
    }

    /// Of all these texts together.
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut uses = Self(Seen::Parts { svc: Part::Of(BTreeSet::new()), bind: false });
        for text in texts {
            for tag in tags(text) {
                let is_between = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '|' | ',');
                for word in tag.inner.split(is_between) {
                    uses.add(word.trim_start_matches(['#', '^', '/', '>', '&', '*']));
                }
            }
        }
        uses
    }

    fn add(&mut self, word: &str) {
        let is_path = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '[' | ']' | '@' | '_' | '-');
        if word.is_empty() || !word.chars().all(is_path) {
            return;
        }
        let is_relative = |part: &&str| matches!(*part, "" | "this" | "@root");
        let mut parts = word.split(['.', '/', '[', ']']).filter(|part| !is_relative(part));
        let Seen::Parts { svc, bind } = &mut self.0 else { return };
        match (parts.next(), parts.next()) {
            (None, _) => self.0 = Seen::Everything,
            (Some("svc"), None) => *svc = Part::Whole,
            (Some("svc"), Some(part)) => {
                if let Part::Of(parts) = svc {
                    parts.insert(part.to_owned());
                }
            }
            (Some("bind"), _) => *bind = true,
            (Some(_), _) => {}
        }
    }

    /// Whether `svc.PART` can be seen.
    #[must_use]
    pub fn svc(&self, part: &str) -> bool {
        match &self.0 {
            Seen::Everything | Seen::Parts { svc: Part::Whole, .. } => true,
            Seen::Parts { svc: Part::Of(parts), .. } => parts.contains(part),
        }
    }

    /// Whether anything of `bind` can be seen.
    #[must_use]
    pub fn bind(&self) -> bool {
        match &self.0 {
            Seen::Everything => true,
            Seen::Parts { bind, .. } => *bind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Uses;

    fn of(text: &str) -> Uses {
        Uses::of([text].into_iter())
    }

    #[test]
    fn what_is_named_is_seen_and_nothing_else() {
        let uses = of("{{#if svc.me.leader}}{{cfg.port}}{{else if svc.leader}}{{svc.leader.sys.ip}}{{/if}}");
        assert!(uses.svc("me") && uses.svc("leader"));
        assert!(!uses.svc("members") && !uses.svc("first") && !uses.bind());
    }

    #[test]
    fn every_way_to_write_a_path_counts() {
        for text in [
            "{{#each svc.members as |m|}}{{m.sys.ip}}{{/each}}",
            "{{#svc.members}}x{{/svc.members}}",
            "{{^svc.members}}x{{/svc.members}}",
            "{{#eachAlive svc.members}}x{{/eachAlive}}",
            "{{toJson (lookup svc.members 0)}}",
            "{{> part who=svc.members}}",
            "{{svc/members}}",
            "{{svc.[members]}}",
            "{{../svc.members}}",
            "{{@root.svc.members}}",
            "{{this.svc.members}}",
            "{{~svc.members~}}",
            "{{{svc.members}}}",
        ] {
            assert!(of(text).svc("members"), "{text}");
            assert!(!of(text).svc("leader"), "{text}");
        }
        assert!(of("{{bind.database.first.sys.ip}}").bind() && of("{{#with bind}}x{{/with}}").bind());
    }

    #[test]
    fn what_can_be_reached_by_another_way_counts_as_seen() {
        for text in ["{{#with svc}}{{members}}{{/with}}", "{{lookup svc \"members\"}}", "{{> part svc}}", "{{[svc]}}"] {
            assert!(of(text).svc("members") && !of(text).bind(), "{text}");
        }
        for text in ["{{toJson this}}", "{{#each .}}x{{/each}}", "{{lookup @root cfg.name}}", "{{toJson ..}}", "{{./}}"]
        {
            assert!(of(text).svc("members") && of(text).bind(), "{text}");
        }
    }

    #[test]
    fn comments_texts_and_other_roots_are_not_seen() {
        let uses =
            of("svc.members {{! svc.members }} {{cfg.svc.members}} {{toJson \"svc.members\"}} \\{{svc.members}}");
        assert!(!uses.svc("members") && !uses.bind());
    }
}
