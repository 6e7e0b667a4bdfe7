//! The layers of a service's config, each as it was when it last made sense.

use toml::Table;

use crate::plan::Plan;
use crate::plan::config::{Layers, Unknown, effective, validate};

/// The config, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Config {
    environment: Table,
    user: Layer,
    group: Layer,
    /// The revision of the group's layer that is in force.
    revision: Option<String>,
}

/// One layer.
#[derive(Debug, Default)]
struct Layer {
    /// The text that was read last; none before the first, empty if there is nothing.
    text: Option<String>,
    good: Option<Table>,
    problem: Option<String>,
}

impl Layer {
    /// Takes a text. One that makes no sense leaves what was there before.
    fn set(&mut self, file: &str, text: &str, plan: &Plan, unknown: Unknown) {
        if self.text.as_deref() == Some(text) {
            return;
        }
        self.text = Some(text.to_owned());
        match validate(file, text, plan, unknown) {
            Ok(table) => {
                self.good = Some(table);
                self.problem = None;
            }
            Err(complaints) => self.problem = Some(complaints.to_string().trim_end().to_owned()),
        }
    }

    fn is_good(&self) -> bool {
        self.problem.is_none()
    }

    /// The table in force. What never made sense has none: running without it would be running something else.
    fn table(&self) -> Result<Table, String> {
        match (&self.good, &self.problem) {
            (Some(table), _) => Ok(table.clone()),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Ok(Table::new()),
        }
    }
}

impl Config {
    pub(super) fn new(environment: Table) -> Self {
        Self { environment, ..Self::default() }
    }

    /// The node's `user.toml`; empty if there is none.
    pub(super) fn set_user(&mut self, file: &str, text: &str, plan: &Plan) {
        self.user.set(file, text, plan, Unknown::Refused);
    }

    /// The node's `user.toml` is there and cannot be read.
    pub(super) fn user_unreadable(&mut self, why: String) {
        self.user.text = None;
        self.user.problem = Some(why);
    }

    /// The group's config. Keys that the plan does not know were allowed by whoever applied it.
    pub(super) fn set_group(&mut self, revision: Option<&str>, text: &str, plan: &Plan) {
        let file = format!("group config {}", revision.unwrap_or_default());
        self.group.set(&file, text, plan, Unknown::Allowed);
        if self.group.is_good() {
            self.revision = revision.map(str::to_owned);
        }
    }

    /// The config in force.
    pub(super) fn effective(&self, plan: &Plan) -> Result<Table, String> {
        let layers =
            Layers { environment: self.environment.clone(), user: self.user.table()?, group: self.group.table()? };
        Ok(effective(&plan.defaults, &layers))
    }

    pub(super) fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Why the group's config is not the one in force, although it should be.
    pub(super) fn refused(&self) -> Option<&str> {
        self.group.problem.as_deref()
    }

    /// What is wrong, while what was there before is in force.
    pub(super) fn problems(&self) -> impl Iterator<Item = &str> {
        [&self.user, &self.group].into_iter().filter_map(|layer| layer.problem.as_deref())
    }
}
