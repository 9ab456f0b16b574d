//! The names of fields, and what they hold.

use std::time::{Duration, SystemTime};

use crate::signal::hint;

/// What a field of an error is for, by its name.
pub(super) enum Field {
    Code,
    Message,
    Model,
    Param,
    QuotaId,
    QuotaValue,
    Limit,
    Used,
    Requested,
    Remaining,
    Wait(WaitUnit),
    Unknown,
}

impl Field {
    /// The same names are spelt `retry_after`, `retryAfter` and `retry-after`.
    pub(super) fn of(key: &str) -> Self {
        let mut plain = [0; MAX_KEY];
        let mut length = 0;
        for byte in key
            .bytes()
            .filter(|byte| !matches!(byte, b'_' | b'-' | b'@'))
        {
            let Some(slot) = plain.get_mut(length) else {
                return Self::Unknown;
            };
            *slot = byte.to_ascii_lowercase();
            length += 1;
        }
        match &plain[..length] {
            b"code" | b"type" | b"status" | b"reason" | b"errortype" | b"errorcode"
            | b"statuscode" | b"limitsource" | b"name" | b"kind" => Self::Code,
            b"message" | b"msg" | b"error" | b"errors" | b"detail" | b"details" | b"title"
            | b"errormessage" | b"errormsg" | b"errordescription" | b"description"
            | b"statusmsg" | b"raw" | b"messages" | b"remedyhint" => Self::Message,
            b"model" | b"modelid" | b"modelname" => Self::Model,
            b"param" => Self::Param,
            b"quotaid" | b"quotametric" | b"quotalimit" => Self::QuotaId,
            b"quotavalue" | b"quotalimitvalue" => Self::QuotaValue,
            b"limit" | b"nctx" | b"maxtokens" => Self::Limit,
            b"used" | b"currentusage" => Self::Used,
            b"requested" | b"nprompttokens" => Self::Requested,
            b"remaining" => Self::Remaining,
            b"retryafter" | b"retryafterseconds" | b"retryaftersec" | b"retryafters"
            | b"retrydelay" | b"retrydelayseconds" | b"quotaresetdelay" | b"estimatedtime"
            | b"resetafter" | b"resetsinseconds" | b"resetinseconds" | b"retryin"
            | b"waitseconds" | b"resetsin" => Self::Wait(WaitUnit::Seconds),
            b"retryafterms"
            | b"retryaftermillis"
            | b"retryaftermilliseconds"
            | b"retrydelayms"
            | b"waitms" => Self::Wait(WaitUnit::Millis),
            b"quotaresettimestamp"
            | b"resetsat"
            | b"resetat"
            | b"resettime"
            | b"retryat"
            | b"nextreset" => Self::Wait(WaitUnit::Time),
            _ => Self::Unknown,
        }
    }
}

/// What a bare number in a field stands for.
#[derive(Clone, Copy)]
pub(super) enum WaitUnit {
    Seconds,
    Millis,
    Time,
}

impl WaitUnit {
    pub(super) fn read(self, text: &str, server_time: SystemTime) -> Option<Duration> {
        let number = text.parse::<f64>().ok();
        match (self, number) {
            (_, Some(epoch)) if epoch >= hint::EPOCH_SECONDS && !matches!(self, Self::Millis) => {
                Some(hint::until_epoch(epoch, server_time))
            }
            (Self::Millis, Some(millis)) => hint::from_secs(millis / 1e3),
            (Self::Seconds, Some(seconds)) => hint::from_secs(seconds),
            (Self::Time, Some(_)) => None,
            (_, None) => hint::parse_wait(text, server_time),
        }
    }
}

const MAX_KEY: usize = 24;
