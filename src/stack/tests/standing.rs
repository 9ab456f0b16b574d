//! How a stack stands, as it tells.

use super::*;
use crate::{money::Money, rate_limit::Zone};

fn a_minute(requests: u64) -> Quota {
    Quota::new().limit(Limit::requests(requests).per_minute())
}

/// After four requests, of which two are answered and two wait.
async fn after_four(builder: StackBuilder) -> Stack {
    let stack = builder.build().unwrap();
    let seen = Arc::<Mutex<Vec<Uri>>>::default();
    let service = stack.layer().layer(client(seen, 200));
    for _ in 0..4 {
        tokio::spawn(service.clone().oneshot(request()));
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    stack
}

// Requests waited, and the status had neither limit nor queue.
#[tokio::test(start_paused = true)]
async fn limits_that_an_upstream_shares_with_others_are_told_with_their_queue() {
    let of_all = StackBuilder::from_env("", [("REQUESTS_PER_MINUTE", "2")]).unwrap();
    let of_all = of_all.upstream(Provider::ollama().model("m"));
    let account = Provider::ollama().quota(a_minute(2)).unwrap();
    let of_account = Stack::builder().upstream(account.model("m"));
    for (builder, words, scope, key) in [
        (of_all, "all requests together", "all", ""),
        (of_account, "all of ollama", "provider", "ollama"),
    ] {
        let stack = after_four(builder).await;
        let status = stack.status();
        assert_eq!(
            status.to_string(),
            format!("ollama/m: circuit closed; {words}: 2 of 2 requests per minute, 2 waiting\n")
        );
        let json: serde_json::Value = serde_json::from_str(&status.to_json()).unwrap();
        let row = &json["upstreams"][0];
        assert_eq!(row["limits"], serde_json::json!([]));
        let shared = &row["shared"][0];
        assert_eq!(
            (&shared["scope"], &shared["key"], &shared["queued"]),
            (&scope.into(), &key.into(), &2.into())
        );
        assert_eq!(shared["limits"][0]["limit"], "2 requests per 60s");
        assert_eq!(shared["limits"][0]["used"], 2);
    }
}

#[test]
fn quotas_that_upstreams_bring_are_told_before_the_first_request() {
    let account = Provider::ollama().quota(a_minute(9)).unwrap();
    let upstream = account.model("m").quota(a_minute(5)).unwrap();
    // A limiter with a quota of its own, which is not theirs.
    let stack = Stack::builder().upstream(upstream).limiter(limiter(70));
    let stack = stack.build().unwrap();
    assert_eq!(
        stack.status().to_string(),
        "ollama/m: circuit closed, 0 of 5 requests per minute; all of ollama: 0 of 9 requests per minute\n"
    );
    stack.limiter().set_quota("ollama/m", a_minute(3)).unwrap();
    let changed = stack.status().to_string();
    assert!(changed.contains("0 of 3 requests per minute;"), "{changed}");
}

// "per 30 days".
#[test]
fn a_month_of_the_calendar_is_called_a_month() {
    let day = Duration::from_secs(86_400);
    let quota = Quota::new()
        .limit(Limit::money(Money::from_cents(2_000)).per_month())
        .limit(Limit::requests(9_000).per(30 * day))
        .limit(Limit::requests(500).per_day().calendar(Zone::UTC));
    let upstream = Provider::openai().model("gpt-4o-mini").quota(quota);
    let stack = Stack::builder()
        .upstream(upstream.unwrap())
        .build()
        .unwrap();
    let status = stack.status();
    assert_eq!(
        status.to_string(),
        "openai/gpt-4o-mini: circuit closed, 0.00 of 20.00 per month, 0 of 9000 requests per 30 days, 0 of 500 requests per day\n"
    );
    let json: serde_json::Value = serde_json::from_str(&status.to_json()).unwrap();
    let limits = &json["upstreams"][0]["limits"];
    assert_eq!(limits[0]["limit"], "20.00 per month");
    assert_eq!(limits[0]["name"], "money per month");
    assert_eq!(limits[2]["name"], "requests per 86400s");
}
