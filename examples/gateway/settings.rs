//! What the environment sets.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tower_upstream::adapt::bearer::ApiKeys;
use uuid::Uuid;

pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    /// The tenants'; without any, everybody may ask.
    pub(crate) keys: ApiKeys,
    pub(crate) tenant_requests_per_minute: u64,
    pub(crate) admin_token: String,
    pub(crate) state: Option<PathBuf>,
    pub(crate) max_body: usize,
    pub(crate) body_time: Duration,
    pub(crate) answer_time: Duration,
    pub(crate) drain_time: Duration,
}

impl Settings {
    /// What these variables set. One that is blank is not set.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let number = |name: &str, default: u32| {
            let number = set(name).map_or(Ok(default), |it| it.parse().map(NonZeroU32::get));
            number
                .map(u64::from)
                .with_context(|| format!("{name}: expected a whole number from 1 to 4294967295"))
        };
        let seconds = |name, default| number(name, default).map(Duration::from_secs);
        let address = set("GATEWAY_ADDRESS").unwrap_or_else(|| "127.0.0.1:8080".into());
        // Whoever sets it does not mean that everybody may ask, whatever he made of it.
        let keys = set("GATEWAY_KEYS").map_or(Ok(ApiKeys::default()), |keys| keys.parse());
        Ok(Self {
            address: address
                .parse()
                .context("GATEWAY_ADDRESS: expected IP:PORT")?,
            keys: keys.context("GATEWAY_KEYS")?,
            tenant_requests_per_minute: number("GATEWAY_TENANT_REQUESTS_PER_MINUTE", 600)?,
            admin_token: set("GATEWAY_ADMIN_TOKEN").unwrap_or_else(told_token),
            state: set("GATEWAY_STATE").map(PathBuf::from),
            max_body: number("GATEWAY_MAX_BODY_BYTES", 4 << 20)? as usize,
            body_time: seconds("GATEWAY_BODY_SECONDS", 30)?,
            answer_time: seconds("GATEWAY_ANSWER_SECONDS", 300)?,
            drain_time: seconds("GATEWAY_DRAIN_SECONDS", 30)?,
        })
    }
}

fn told_token() -> String {
    let token = Uuid::new_v4().simple().to_string();
    eprintln!("admin token, as GATEWAY_ADMIN_TOKEN is not set: {token}");
    token
}
