//! `sup plan check`, `sup plan render`: they need no supervisor.

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::args::{CheckArgs, RenderArgs};
use super::failure::Outcome;
use super::out::Out;
use crate::api::{ExitStatus, Place, Problem, ProblemKind};
use crate::plan::{Complaints, Plan, PlanError, check};
use crate::template::{PreviewError, RenderError, preview};

/// Largest context that is read, in bytes.
const CONTEXT_BYTES: u64 = 1024 * 1024;

/// What `sup plan check` says to a program.
#[derive(Serialize)]
struct Checked {
    plan: String,
    templates: usize,
    hooks: usize,
    missing_commands: Vec<Place>,
}

/// What `sup plan render` says to a program.
#[derive(Serialize)]
struct Rendered {
    files: Vec<RenderedText>,
}

#[derive(Serialize)]
struct RenderedText {
    path: String,
    mode: String,
    text: String,
}

pub(super) fn check(args: &CheckArgs, out: &mut Out<'_>) -> Outcome {
    let plan = load(&args.dir)?;
    check::check(&plan).map_err(|complaints| invalid(&plan, complaints))?;
    // What another machine has to have says nothing about the plan.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = check::check_commands(&plan, &path).err().unwrap_or_default();
    let checked = Checked {
        plan: plan.ident(),
        templates: plan.templates.len(),
        hooks: plan.hooks.len(),
        missing_commands: places(missing),
    };
    out.result(&checked, |out| {
        let Checked { plan, templates, hooks, missing_commands } = &checked;
        out.line(format_args!("{plan} is fine: {templates} templates, {hooks} hooks"))?;
        for place in missing_commands {
            let help = place.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            out.line(format_args!("note: on this machine, {}{help}", place.message))?;
        }
        Ok(())
    })?;
    out.next(format_args!("sup dev {}", args.dir.display()))?;
    Ok(ExitStatus::Done)
}

pub(super) fn render(args: &RenderArgs, out: &mut Out<'_>) -> Outcome {
    let plan = load(&args.dir)?;
    let context = args.context.as_deref().map(context).transpose()?;
    let files = preview(&plan, context.as_ref()).map_err(|error| match error {
        PreviewError::Compile(complaints) => invalid(&plan, complaints),
        PreviewError::Render(RenderError(complaint)) => invalid(&plan, complaint.into()),
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let files = files.iter().map(|file| RenderedText {
        path: file.path.display().to_string(),
        mode: format!("{:04o}", file.mode),
        text: text(&file.bytes),
    });
    let rendered = Rendered { files: files.collect() };
    out.result(&rendered, |out| {
        for file in &rendered.files {
            out.line(format_args!("==> {} ({})", file.path, file.mode))?;
            out.line(file.text.trim_end_matches('\n'))?;
            out.line("")?;
        }
        Ok(())
    })?;
    Ok(ExitStatus::Done)
}

/// Reads a plan, or says all that is wrong with it.
pub(super) fn load(dir: &Path) -> Result<Plan, Problem> {
    Plan::load(dir).map_err(|error| match error {
        PlanError::Wrong(complaints) => {
            let detail = format!("the plan {} is not valid", dir.display());
            Problem { places: places(complaints), ..Problem::new(ProblemKind::InvalidPlan, detail) }
        }
        PlanError::NotAPlan(_) => Problem::caused(ProblemKind::UnknownPlan, &error).next("name a plan's directory"),
        other => Problem::caused(ProblemKind::InvalidPlan, &other),
    })
}

pub(super) fn invalid(plan: &Plan, complaints: Complaints) -> Problem {
    let detail = format!("the plan {} is not valid", plan.ident());
    Problem { places: places(complaints), ..Problem::new(ProblemKind::InvalidPlan, detail) }
}

pub(super) fn places(complaints: Complaints) -> Vec<Place> {
    let place = |complaint: crate::plan::Complaint| Place {
        file: Some(complaint.file.display().to_string()),
        line: complaint.line,
        column: complaint.column,
        message: complaint.message,
        help: complaint.help,
    };
    complaints.0.into_iter().map(place).collect()
}

fn context(file: &Path) -> Result<Value, Problem> {
    let failed = |why: String| Problem::new(ProblemKind::BadRequest, format!("cannot read {}: {why}", file.display()));
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(CONTEXT_BYTES + 1).read_to_string(&mut text));
    let bytes = read.map_err(|error| failed(error.to_string()))?;
    if u64::try_from(bytes).unwrap_or(u64::MAX) > CONTEXT_BYTES {
        return Err(failed(format!("it is larger than {CONTEXT_BYTES} bytes")));
    }
    match serde_json::from_str(&text) {
        Ok(context @ Value::Object(_)) => Ok(context),
        Ok(_) => Err(failed("it is not a JSON object".to_owned())),
        Err(error) => Err(Problem::new(ProblemKind::BadRequest, "the context is not JSON").at(Place {
            file: Some(file.display().to_string()),
            line: error.line(),
            column: error.column(),
            message: error.to_string(),
            help: None,
        })),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{CheckArgs, RenderArgs, check, render};
    use crate::api::ExitStatus;
    use crate::cli::failure::Failure;
    use crate::cli::out::{Colour, Out};

    fn write(dir: &Path, template: &str) {
        fs::create_dir_all(dir.join("config")).unwrap();
        fs::write(dir.join("plan.toml"), "name = \"x\"\nversion = \"1\"\n\n[service]\nrun = \"sleep 9\"\n").unwrap();
        fs::write(dir.join("default.toml"), "a = 1\n").unwrap();
        fs::write(dir.join("config/x.conf"), template).unwrap();
    }

    fn run(command: impl FnOnce(&mut Out<'_>) -> Result<ExitStatus, Failure>) -> (u8, String, String) {
        let (mut result, mut notice) = (Vec::new(), Vec::new());
        let mut out = Out::new(Box::new(&mut result), Box::new(&mut notice), false, Colour::Off);
        let status = command(&mut out).unwrap_or_else(|failure| failure.tell(&mut out));
        drop(out);
        (status.code(), String::from_utf8(result).unwrap(), String::from_utf8(notice).unwrap())
    }

    #[test]
    fn a_good_plan_is_fine_and_renders() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a = {{cfg.a}}\n");
        let (code, out, err) = run(|out| check(&CheckArgs { dir: dir.path().to_owned() }, out));
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("x/1 is fine: 1 templates, 0 hooks"), "{out}");
        let context = dir.path().join("context.json");
        fs::write(&context, r#"{"cfg": {"a": 2}}"#).unwrap();
        let args = RenderArgs { dir: dir.path().to_owned(), context: Some(context) };
        let (code, out, err) = run(|out| render(&args, out));
        assert_eq!((code, out.as_str(), err.as_str()), (0, "==> config/x.conf (0640)\na = 2\n\n", ""));
    }

    #[test]
    fn a_mistake_is_shown_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "first\n{{cfg.nothing}}\n");
        let (code, out, err) = run(|out| check(&CheckArgs { dir: dir.path().to_owned() }, out));
        assert_eq!((code, out.as_str()), (4, ""));
        assert!(err.contains("x.conf:2:") && err.contains("2 | {{cfg.nothing}}"), "{err}");
        let (code, _, err) = run(|out| check(&CheckArgs { dir: dir.path().join("none") }, out));
        assert_eq!(code, 1);
        assert!(err.contains("is not a plan"), "{err}");
    }

    #[test]
    fn a_context_that_is_no_object_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "");
        let context = dir.path().join("context.json");
        for (text, expected) in [("[1]", "it is not a JSON object"), ("{\n\"a\" 1}", "context.json:2:")] {
            fs::write(&context, text).unwrap();
            let args = RenderArgs { dir: dir.path().to_owned(), context: Some(context.clone()) };
            let (code, _, err) = run(|out| render(&args, out));
            assert_eq!(code, 2);
            assert!(err.contains(expected), "{err}");
        }
    }
}
