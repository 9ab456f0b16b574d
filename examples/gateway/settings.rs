//! What the environment sets.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use tower::BoxError;

pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    /// The tenants with their keys; without any, everybody may ask.
    pub(crate) keys: Vec<(Arc<str>, String)>,
    pub(crate) tenant_requests_per_minute: u32,
    pub(crate) admin_token: String,
    pub(crate) state: Option<PathBuf>,
    pub(crate) max_body: usize,
    pub(crate) body_time: Duration,
    pub(crate) answer_time: Duration,
    pub(crate) drain_time: Duration,
}

impl Settings {
    /// What these variables set. One that is blank is not set.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BoxError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let number = |name: &str, default| match set(name).map(|it| it.parse::<NonZeroU32>()) {
            None => Ok(default),
            Some(Ok(number)) => Ok(number.get()),
            Some(Err(_)) => Err(format!(
                "{name}: expected a whole number from 1 to {}",
                u32::MAX
            )),
        };
        let seconds =
            |name, default| number(name, default).map(|it| Duration::from_secs(it.into()));
        let address = set("GATEWAY_ADDRESS").unwrap_or_else(|| "127.0.0.1:8080".into());
        // Whoever sets it does not mean that everybody may ask, whatever he made of it.
        let keys = set("GATEWAY_KEYS").map_or(Some(Vec::new()), |keys| {
            keys.split(',').map(tenant_and_key).collect()
        });
        Ok(Self {
            address: address
                .parse()
                .map_err(|_| "GATEWAY_ADDRESS: expected IP:PORT")?,
            keys: keys.ok_or("GATEWAY_KEYS: expected TENANT:KEY, and commas between")?,
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

fn tenant_and_key(pair: &str) -> Option<(Arc<str>, String)> {
    let (tenant, key) = pair.trim().split_once(':')?;
    (!tenant.is_empty() && !key.is_empty()).then(|| (tenant.into(), key.to_owned()))
}

fn told_token() -> String {
    let token = random();
    eprintln!("admin token, as GATEWAY_ADMIN_TOKEN is not set: {token}");
    token
}

/// 128 bits that nobody can guess.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
