//! `/v1/stats`: how much is sold, what, and how fast the answers come.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::caller::Access;
use super::openapi::operation::Operation;
use super::openapi::shapes::pattern;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Query};
use super::{AppState, Routes};
use crate::clock;

pub fn routes(routes: Routes) -> Routes {
    let operation = Operation::get("/v1/stats", "get_stats", "Rates, hottest SKUs and latencies over time")
        .query("window", pattern("^(15m|1h|24h)$"))
        .answers(200, "Stats");
    routes.on(Access::Staff, operation, report)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsQuery {
    window: Option<String>,
}

/// How far to look back: 15 minutes unless the caller says otherwise.
fn window(text: Option<&str>) -> Result<Duration, Problem> {
    match text {
        None | Some("15m") => Ok(Duration::from_secs(15 * 60)),
        Some("1h") => Ok(Duration::from_secs(60 * 60)),
        Some("24h") => Ok(Duration::from_secs(24 * 60 * 60)),
        Some(_) => Err(Problem::invalid("window", "must be 15m, 1h or 24h")),
    }
}

async fn report(
    State(state): State<AppState>,
    _at_least: AtLeast,
    Query(query): Query<StatsQuery>,
) -> Answer {
    let window = window(query.window.as_deref())?;
    Ok(Json(state.stats.report(window, clock::now())).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_windows_are_taken() {
        assert_eq!(window(None).expect("the default"), window(Some("15m")).expect("15 minutes"));
        assert_eq!(window(Some("24h")).expect("a day").as_secs(), 86_400);
        for text in ["15", "2h", "1d", "-1h"] {
            assert!(window(Some(text)).is_err(), "{text}");
        }
    }
}
