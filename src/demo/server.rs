//! The demo service's HTTP server.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::config::Loaded;

/// What the health check is to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// What the config says.
    AsConfigured,
    /// Somebody asked it to fail.
    ToldToFail,
}

struct Service {
    loaded: Loaded,
    mood: Mood,
}

type Shared = Arc<Mutex<Service>>;

/// Serves until it is asked to stop.
pub async fn run(path: PathBuf) -> Result<(), String> {
    let loaded = Loaded::read(&path)?;
    let address = loaded.address();
    // Before anybody can connect: whoever sees it listen may send it signals.
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| format!("cannot handle SIGHUP: {error}"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("cannot handle SIGTERM: {error}"))?;
    let listener = TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("{} listens on {address}", loaded.config.node);
    let shared = Arc::new(Mutex::new(Service { loaded, mood: Mood::AsConfigured }));
    let reload = async {
        while hangup.recv().await.is_some() {
            match Loaded::read(&path) {
                Ok(loaded) => {
                    println!("config read again: role {:?}, term {}", loaded.config.role, loaded.config.term);
                    lock(&shared).loaded = loaded;
                }
                Err(error) => eprintln!("demo-service: {error}; the old config stays in force"),
            }
        }
    };
    // Requests that are being answered are answered to their end.
    let told = async move { _ = terminate.recv().await };
    let server = axum::serve(listener, router(Arc::clone(&shared))).with_graceful_shutdown(told);
    tokio::select! {
        result = server => result.map_err(|error| format!("cannot serve: {error}"))?,
        () = reload => {}
    }
    println!("stopped");
    Ok(())
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/config", get(async |State(shared): State<Shared>| Json(lock(&shared).loaded.all.clone())))
        .route("/health", get(health))
        .route("/fail", post(async |State(shared): State<Shared>| feel(&shared, Mood::ToldToFail)))
        .route("/recover", post(async |State(shared): State<Shared>| feel(&shared, Mood::AsConfigured)))
        .route("/crash", post(crash))
        .with_state(shared)
}

async fn about(State(shared): State<Shared>) -> Json<Value> {
    let service = lock(&shared);
    let config = &service.loaded.config;
    Json(json!({
        "node": config.node,
        "version": config.version,
        "role": config.role,
        "term": config.term,
        "message": config.message,
        "pid": std::process::id(),
        "config": service.loaded.all,
    }))
}

async fn health(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    let service = lock(&shared);
    match (service.mood, service.loaded.config.fail_health) {
        (Mood::ToldToFail, _) => (StatusCode::SERVICE_UNAVAILABLE, "told to fail: POST /recover\n"),
        (Mood::AsConfigured, true) => (StatusCode::SERVICE_UNAVAILABLE, "fail_health is set in the config\n"),
        (Mood::AsConfigured, false) => (StatusCode::OK, "ok\n"),
    }
}

fn feel(shared: &Shared, mood: Mood) -> StatusCode {
    lock(shared).mood = mood;
    StatusCode::NO_CONTENT
}

async fn crash() -> StatusCode {
    eprintln!("told to crash");
    std::process::exit(1)
}

/// Nothing is left half-done by a panic here: each holder of the lock replaces one field.
fn lock(shared: &Shared) -> MutexGuard<'_, Service> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
