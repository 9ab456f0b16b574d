//! Limits of money, and what they count.

use super::*;
use crate::{cost::Price, money::Money, rate_limit::Limit, request::Cost, upstream::Upstream};

fn a_day(cents: u64) -> Quota {
    Quota::new().limit(Limit::money(Money::from_cents(cents)).per_day())
}

/// A deployment of one's own name, of which no preset knows the price.
fn deployment() -> Upstream {
    let azure = Provider::azure("https://r.openai.azure.com", "2024-10-21");
    azure.unwrap().model("my-gpt4o")
}

fn error(builder: StackBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

// 0.01 a day let 4,000,000 tokens through, and nothing said why.
#[test]
fn a_limit_of_money_that_would_count_nothing_is_refused_with_what_to_do() {
    let limited = deployment().quota(a_day(1)).unwrap();
    assert_eq!(
        error(Stack::builder().upstream(limited.clone())),
        "`price` cannot be unknown for azure/my-gpt4o, which a limit of money holds (0.01 per day): expected what its tokens \
         cost (`Upstream::price`; `price` beside `models` in a file), or zeros where requests bring a `Cost` with money"
    );
    let text = r#"{"providers": {"azure": {"base_url": "https://r.openai.azure.com", "api_version": "2024-10-21"}},
        "upstreams": [{"provider": "azure", "models": ["my-gpt4o"], "quota": {"money": "0.01/day"}}]}"#;
    let of_file = StackBuilder::from_json(text, |_| Some("key".into())).unwrap();
    assert_eq!(of_file.build().unwrap_err().setting(), "price");

    let account = Provider::groq().quota(a_day(1)).unwrap();
    let all = || RateLimiter::new(a_day(1)).unwrap().scope(Scope::All);
    let own = Provider::ollama().model("own");
    for refused in [
        Stack::builder().upstream(account.model("unheard-of")),
        Stack::builder().upstream(deployment()).limiter(all()),
        Stack::builder()
            .upstream(deployment())
            .limiter(all().scope(Scope::by(|_| "tenant".into()))),
        Stack::builder().upstream(own.clone().quota(a_day(1)).unwrap()),
    ] {
        assert!(error(refused).starts_with("`price` cannot be unknown for "));
    }
    for good in [
        Stack::builder().upstream(limited.price(Price::default())),
        Stack::builder()
            .upstream(deployment())
            .limiter(all().price(Price::default())),
        // At home the presets know it; what runs on one's own machine costs nothing.
        Stack::builder()
            .upstream(Provider::openai().model("gpt-4o-mini"))
            .upstream(own)
            .limiter(all()),
    ] {
        good.build().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_bring_their_cost_in_money_are_counted_beside_a_price_of_zero() {
    let upstream = deployment().quota(a_day(10)).unwrap();
    let stack = Stack::builder().upstream(upstream.price(Price::default()));
    let stack = stack.build().unwrap();
    let body = r#"{"usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}}"#;
    let client = service_fn(move |_: Request<Full<Bytes>>| async move {
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, BoxError>(response.body(Full::<Bytes>::from(body))?)
    });
    let mut request = request();
    let cost = Cost::tokens(10, 10).with_money(Money::from_cents(3));
    request.extensions_mut().insert(cost);
    let response = stack.layer().layer(client).oneshot(request).await.unwrap();
    http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    let status = stack.limiter().status("azure/my-gpt4o");
    assert_eq!(status.limits[0].used, Money::from_cents(3).nanos());
}

#[test]
fn who_came_later_without_a_price_is_explained() {
    let groq = Provider::groq().quota(a_day(1)).unwrap();
    let stack = Stack::builder().upstream(groq.model("openai/gpt-oss-20b"));
    let stack = stack.build().unwrap();
    assert!(!stack.explain().contains("beware"));
    stack.router().unwrap().add(groq.model("new")).unwrap();
    let told = "beware: its price is not known, and `0.01 per day` counts nothing of it\n";
    assert!(stack.explain().contains(told), "{}", stack.explain());
}
