//! What watches: the page, its events, and the metrics.

use std::collections::BTreeSet;

use provider_simulator::{Limits, Simulator};
use serde_json::Value;
use tower_upstream::{Limit, Quota, RateLimiter, stack::OPEN_METRICS};

use super::rig::{GROQ, Rig, chat, within};

/// The events of a stream as they come: their names and data.
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn of(rig: &Rig) -> Self {
        let response = rig.get("/events").await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                };
                let event = (
                    field("event: ").to_owned(),
                    serde_json::from_str(field("data: ")).unwrap_or_default(),
                );
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = within(self.response.chunk())
                .await
                .expect("a whole stream")?;
            self.text
                .push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

#[tokio::test]
async fn the_state_comes_at_once_and_has_what_the_page_shows() {
    let rig = Rig::new().await;
    let (name, state) = Events::of(&rig).await.next().await.unwrap();
    assert_eq!(name, "state");
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let fields = [
        "answered",
        "circuit",
        "cooling_ms",
        "cooling_reason",
        "failed",
        "id",
        "in_flight",
        "last_failure",
        "last_failure_ms",
        "limits",
        "paused_ms",
        "probe_after_ms",
        "queued",
        "shared",
    ];
    assert_eq!(
        keys(&state["upstreams"][0]),
        fields.map(str::to_owned).into()
    );
    let fields = ["answered", "cost", "cost_nanos", "failed", "tokens"];
    assert_eq!(keys(&state["totals"]), fields.map(str::to_owned).into());
    assert_eq!(state["upstreams"][0]["id"], GROQ);
    assert_eq!(state["upstreams"][0]["circuit"], "closed");
}

#[tokio::test]
async fn decisions_come_as_they_are_made_and_the_state_goes_along() {
    // Of which no field tells beforehand.
    let limits = Limits::new().tokens_per_day(20);
    let rig = Rig::with(&[], Simulator::groq().model("small", limits), |it| it).await;
    let mut events = Events::of(&rig).await;
    events.next().await.unwrap();
    for _ in 0..2 {
        assert_eq!(rig.chat(&chat()).await.status(), 200);
    }
    let mut told = BTreeSet::new();
    loop {
        let (name, data) = events.next().await.unwrap();
        match &*name {
            "decision" => {
                assert_eq!(data["v"], 1);
                told.insert(data["event"].as_str().unwrap().to_owned());
            }
            _ if data["totals"]["answered"] == 2 && told.contains("switched") => {
                assert_eq!(data["upstreams"][0]["cooling_reason"], "rate_limited");
                assert_eq!(data["upstreams"][1]["answered"], 1);
                break;
            }
            _ => {}
        }
    }
    for event in ["admitted", "cooling_down", "ended", "switched"] {
        assert!(told.contains(event), "{event} in {told:?}");
    }
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up() {
    let rig = Rig::new().await;
    let _deaf = rig.get("/events").await;
    for _ in 0..50 {
        let calls = (0..20).map(|_| async { rig.chat(&chat()).await.status() });
        let statuses = futures::future::join_all(calls).await;
        assert!(
            statuses
                .iter()
                .all(|status| [200, 429].contains(&status.as_u16()))
        );
    }
}

#[tokio::test]
async fn a_limit_fills_as_it_is_taken() {
    let quota = Quota::new().limit(Limit::requests(10).per_minute());
    let limiter = RateLimiter::new(quota).unwrap();
    let rig = Rig::with(&[], Simulator::groq(), |it| it.limiter(limiter)).await;
    for _ in 0..5 {
        rig.chat(&chat()).await;
    }
    let (_, state) = Events::of(&rig).await.next().await.unwrap();
    let limit = &state["upstreams"][0]["limits"][0];
    assert_eq!(limit["name"], "requests per 60s");
    assert_eq!(limit["limit"], "10 requests per 60s");
    assert_eq!(limit["taken"], 0.5);
}

#[tokio::test]
async fn metrics_have_upstreams_and_tenants() {
    let rig = Rig::with(&[("GATEWAY_KEYS", "anna:k-a")], Simulator::groq(), |it| it).await;
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    within(request.bearer_auth("k-a").json(&chat()).send())
        .await
        .unwrap();
    let response = rig.get("/metrics").await;
    assert_eq!(response.headers()["content-type"], OPEN_METRICS);
    let text = response.text().await.unwrap();
    for wanted in [
        format!("tower_upstream_requests_total{{upstream=\"{GROQ}\",end=\"answered\"}} 1"),
        r#"tower_upstream_limiter_admitted_total{key="tenant:anna"} 1"#.to_owned(),
    ] {
        assert!(
            text.lines().any(|line| line == wanted),
            "{wanted} in\n{text}"
        );
    }
}

#[tokio::test]
async fn the_page_may_run_what_is_in_it_and_nothing_else() {
    let rig = Rig::new().await;
    let response = rig.get("/").await;
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let page = response.text().await.unwrap();
    let (_, nonce) = policy.split_once("script-src 'nonce-").unwrap();
    let nonce = nonce.split('\'').next().unwrap();
    assert!(page.contains(&format!("nonce=\"{nonce}\"")) && !page.contains("{nonce}"));
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
}
