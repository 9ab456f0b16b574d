//! Who may ask, how much, and who may change what.

use provider_simulator::Simulator;
use serde_json::Value;
use tower_upstream::{Limit, Quota, RateLimiter, Scope, stack::Caller};

use super::{
    gateway::settings::Settings,
    rig::{ADMIN, GROQ, Rig, chat, error, within},
};

const TWO: (&str, &str) = ("GATEWAY_TENANT_REQUESTS_PER_MINUTE", "2");

async fn ask_as(rig: &Rig, name: &str, value: &str) -> reqwest::Response {
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    within(request.header(name, value).json(&chat()).send())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_tenant_is_who_has_its_key_whatever_he_says_he_is() {
    let variables = [("GATEWAY_KEYS", "anna:k-a, ben:k-b"), TWO];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it).await;
    for (key, status) in [
        ("Bearer k-a", 200),
        ("Bearer k-a", 200),
        ("Bearer k-a", 429),
        ("Bearer k-b", 200),
        ("Bearer k-", 401),
        ("Bearer k-aa", 401),
        ("Bearer ", 401),
        ("k-a", 401),
    ] {
        let response = ask_as(&rig, "authorization", key).await;
        assert_eq!(response.status(), status, "{key}");
        if status != 200 {
            let told = error(response).await;
            assert!(
                ["rate_limit_exceeded", "invalid_api_key"].contains(&&*told.1),
                "{told:?}"
            );
        }
    }
    let response = ask_as(&rig, "x-tenant", "ben").await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(error(response).await, (401, "invalid_api_key".to_owned()));
    assert_eq!(error(rig.get("/v1/models").await).await.0, 401);
    let keys = rig.gateway.stack.stats().snapshot().keys;
    assert_eq!(keys["tenant:anna"].refused_wait_too_long, 1);
}

#[tokio::test]
async fn a_refused_tenant_is_told_when_to_come_back() {
    let rig = Rig::with(&[TWO], Simulator::groq(), |it| it).await;
    for _ in 0..2 {
        rig.chat(&chat()).await;
    }
    let response = rig.chat(&chat()).await;
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(
        response.headers()["ratelimit-policy"],
        "\"tenant-requests-60s\";q=2;w=60"
    );
    let body: Value = response.json().await.unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "The rate limit of 2 requests per minute is used up. Please try again in "
        ),
        "{message}"
    );
    assert_eq!(body["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn without_keys_a_tenant_is_an_address_whatever_he_says() {
    let rig = Rig::with(&[TWO], Simulator::groq(), |it| it).await;
    for (name, value, status) in [
        ("x-other", "", 200),
        ("x-tenant", "anna", 200),
        ("x-forwarded-for", "10.0.0.1", 429),
        ("authorization", "Bearer whatever", 429),
    ] {
        let answer = ask_as(&rig, name, value).await;
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    let keys = rig.gateway.stack.stats().snapshot().keys;
    assert_eq!(keys["tenant:127.0.0.1"].admitted, 2);
}

#[tokio::test]
async fn only_the_admin_changes_anything() {
    let rig = Rig::new().await;
    let post = async |path: &str, token: Option<&str>| {
        let request = rig.client.post(format!("{}{path}", rig.url));
        let request = match token {
            Some(token) => request.header("authorization", token),
            None => request,
        };
        within(request.send()).await.unwrap()
    };
    let open = "/admin/force-open?key=groq%2Fsmall";
    for token in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer wrong"),
        Some(ADMIN),
        Some("Basic of-the-admin"),
    ] {
        assert_eq!(
            error(post(open, token).await).await,
            (401, "invalid_api_key".to_owned())
        );
    }
    assert_eq!(error(rig.get("/admin/state").await).await.0, 401);
    let token = format!("Bearer {ADMIN}");
    let state = async |response: reqwest::Response| {
        assert_eq!(response.status(), 200);
        let state: Value = response.json().await.unwrap();
        state["upstreams"][0]["circuit"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(state(post(open, Some(&token)).await).await, "forced_open");
    assert_ne!(rig.chat(&chat()).await.headers()["x-served-by"], GROQ);
    assert_eq!(
        state(post("/admin/reset?key=groq/small", Some(&token)).await).await,
        "closed"
    );
    assert_eq!(rig.chat(&chat()).await.headers()["x-served-by"], GROQ);
    for path in [
        "/admin/clear-cooldown?key=groq",
        "/admin/reset",
        "/admin/reset?key=",
        "/admin/reset?key=groq",
        "/admin/force-open?key=%ff&x",
        "/admin/clear-cooldown?key=tenant:127.0.0.1",
        "/admin/nothing?key=groq/small",
    ] {
        assert_eq!(
            error(post(path, Some(&token)).await).await,
            (404, "not_found".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_limit_of_the_stack_by_callers_knows_who_asks() {
    let quota = Quota::new().limit(Limit::requests(9).per_minute());
    let limiter = RateLimiter::new(quota).unwrap();
    let limiter = limiter.scope(Scope::by(|head| match head.extensions.get() {
        Some(Caller(name)) => name.clone(),
        None => "nobody".into(),
    }));
    let rig = Rig::with(
        &[("GATEWAY_KEYS", "anna:k-a")],
        Simulator::groq(),
        |stack| stack.limiter(limiter.clone()),
    );
    let rig = rig.await;
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    let request = request.header("authorization", "bearer k-a").json(&chat());
    assert_eq!(within(request.send()).await.unwrap().status(), 200);
    assert_eq!(limiter.keys(), ["anna".into()]);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_spend_where_no_key_is_asked_for() {
    let rig = Rig::new().await;
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    let request = request.header("sec-fetch-site", "cross-site").json(&chat());
    let told = error(within(request.send()).await.unwrap()).await;
    assert_eq!(told, (403, "forbidden".to_owned()));
    assert_eq!(rig.groq.counts().received, 0);
}

#[tokio::test]
async fn a_cooldown_is_ended_by_hand() {
    let rig = Rig::new().await;
    rig.groq.script([provider_simulator::Reply::Quota]);
    rig.chat(&chat()).await;
    let state = rig
        .client
        .get(format!("{}/admin/state", rig.url))
        .bearer_auth(ADMIN);
    let state: Value = within(state.send()).await.unwrap().json().await.unwrap();
    assert_eq!(state["upstreams"][0]["cooling_reason"], "quota_exhausted");
    assert!(state["upstreams"][0]["cooling_ms"].as_u64().unwrap() > 1_000);
    // An account cools down as a whole.
    let clear = rig
        .client
        .post(format!("{}/admin/clear-cooldown?key=groq/small", rig.url));
    within(clear.bearer_auth(ADMIN).send()).await.unwrap();
    assert!(rig.gateway.stack.cooldowns().list().is_empty());
}

#[test]
fn a_setting_that_cannot_be_is_named_and_no_secret_is_repeated() {
    for (name, value) in [
        ("GATEWAY_ADDRESS", "here"),
        ("GATEWAY_KEYS", "sk-secret"),
        ("GATEWAY_KEYS", ","),
        ("GATEWAY_KEYS", "anna:sk-secret,"),
        ("GATEWAY_KEYS", "anna:"),
        ("GATEWAY_KEYS", ":sk-secret"),
        ("GATEWAY_MAX_BODY_BYTES", "0"),
        ("GATEWAY_BODY_SECONDS", "-1"),
        ("GATEWAY_DRAIN_SECONDS", "1e9"),
    ] {
        let read = Settings::read(|variable| (variable == name).then(|| value.to_owned()));
        let error = read.err().expect(name).to_string();
        assert!(
            error.starts_with(name) && !error.contains("secret"),
            "{error}"
        );
    }
    assert_eq!(
        Settings::read(|_| Some(" ".into())).unwrap().max_body,
        4 << 20
    );
}

#[test]
fn two_gateways_have_not_the_same_token() {
    let token = || Settings::read(|_| None).unwrap().admin_token;
    assert!(token() != token() && token().len() == 32);
}
