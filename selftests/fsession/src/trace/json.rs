// SPDX-License-Identifier: GPL-2.0

//! One JSON object a line: a call each, and the counts in the end. `fsession trace --help`
//! documents them.

use serde::Serialize;
use serde_json::Value;

use super::calls::Call;
use super::lines::Traced;
use super::record::Return;
use super::values::{arguments, returned, Shown};
use super::Totals;

#[derive(Serialize)]
struct CallObject<'a> {
    r#type: &'static str,
    function: &'a str,
    module: Option<&'a str>,
    time_ns: u64,
    pid: u32,
    tid: u32,
    comm: &'a str,
    cpu: u32,
    args: Vec<ValueObject<'a>>,
    returned: bool,
    ret: Option<ValueObject<'a>>,
    duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stack: &'a [String],
}

#[derive(Serialize)]
struct ValueObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    r#type: &'a str,
    value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    string: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct TotalsObject {
    r#type: &'static str,
    calls: u64,
    lost: u64,
    missed: u64,
}

impl<'a> ValueObject<'a> {
    fn new(name: Option<&'a str>, value: &Shown<'a>) -> Self {
        Self {
            name,
            r#type: value.decl(),
            value: value.json(),
            string: value.string(),
            error: None,
        }
    }
}

pub fn call(traced: &Traced, call: &Call, stack: &[String]) -> serde_json::Result<String> {
    let entry = &call.entry;
    let args = arguments(&traced.signature, &entry.words, &entry.texts);
    let ret = call.ret.as_ref().and_then(|ret| {
        let value = returned(&traced.signature.ret, &ret.value, ret.text.as_ref())?;
        let error = value.error();
        Some(ValueObject {
            error: error.map(|error| error.trim_start_matches('-').to_owned()),
            ..ValueObject::new(None, &value)
        })
    });
    serde_json::to_string(&CallObject {
        r#type: "call",
        function: &traced.name,
        module: traced.module.as_deref(),
        time_ns: entry.entered,
        pid: entry.task.tgid,
        tid: entry.task.tid,
        comm: &entry.task.comm,
        cpu: entry.task.cpu,
        args: args
            .iter()
            .map(|(name, value)| ValueObject::new(Some(name), value))
            .collect(),
        returned: call.ret.is_some(),
        ret,
        duration_ns: call.ret.as_ref().map(Return::duration),
        stack,
    })
}

pub fn totals(totals: &Totals) -> serde_json::Result<String> {
    serde_json::to_string(&TotalsObject {
        r#type: "summary",
        calls: totals.calls,
        lost: totals.lost,
        missed: totals.missed,
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines::examples::{entry, ret, write};
    use super::*;

    #[test]
    fn a_call_is_an_object() {
        let mut example = Call {
            entry: entry(1000),
            ret: Some(ret(1000, 1500, -9)),
        };
        let text = call(&write(), &example, &["ksys_write+0x6f".into()]).unwrap();
        insta::assert_snapshot!(text, @r#"{"type":"call","function":"vfs_write","module":null,"time_ns":1000,"pid":153,"tid":153,"comm":"cat","cpu":1,"args":[{"name":"file","type":"struct file *","value":"0xffff888004c1e300"},{"name":"buf","type":"const char *","value":"0x7ffd1000","string":"hello\n"},{"name":"count","type":"size_t","value":6},{"name":"pos","type":"loff_t *","value":"0xffffc9000017fe80"}],"returned":true,"ret":{"type":"ssize_t","value":-9,"error":"EBADF"},"duration_ns":500,"stack":["ksys_write+0x6f"]}"#);
        example.ret = None;
        let text = call(&write(), &example, &[]).unwrap();
        assert!(
            text.ends_with(r#""returned":false,"ret":null,"duration_ns":null}"#),
            "{text}"
        );
    }
}
