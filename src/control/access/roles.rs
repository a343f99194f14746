//! Which role each call of the API needs.

use crate::config::Role;

/// What a call asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: load balancers and probes have no token.
    Open,
    Role(Role),
}

use Need::Open;
const READ: Need = Need::Role(Role::Read);
const OPERATE: Need = Need::Role(Role::Operate);
const ADMIN: Need = Need::Role(Role::Admin);

/// By service, then by call. Every call of the API is here; a test looks.
const NEEDS: &[(&str, &[(&str, Need)])] = &[
    (
        "whimbrel.v1.JobService",
        &[
            ("GetJob", READ),
            ("ListJobs", READ),
            ("WatchJob", READ),
            ("PlanJob", READ),
            ("ListHistory", READ),
            ("StartJob", OPERATE),
            ("PauseJob", OPERATE),
            ("SetLimits", OPERATE),
            ("CreateJob", ADMIN),
            ("UpdateJob", ADMIN),
            ("DeleteJob", ADMIN),
        ],
    ),
    (
        "whimbrel.v1.StoreService",
        &[
            ("ListStores", READ),
            ("GetStore", READ),
            ("CheckStore", READ),
            ("ListTables", READ),
            ("ListLeftovers", READ),
            ("ReloadStores", ADMIN),
            ("CertifyStore", ADMIN),
        ],
    ),
    ("grpc.health.v1.Health", &[("Check", Open), ("Watch", Open)]),
    ("grpc.reflection.v1.ServerReflection", &[("ServerReflectionInfo", READ)]),
    ("grpc.reflection.v1alpha.ServerReflection", &[("ServerReflectionInfo", READ)]),
];

/// Of a request's path, `/package.Service/Call`. `None`: there is no such call.
pub fn need(path: &str) -> Option<Need> {
    let (service, call) = path.strip_prefix('/')?.split_once('/')?;
    let (_, calls) = NEEDS.iter().find(|(name, _)| *name == service)?;
    calls.iter().find(|(name, _)| *name == call).map(|(_, need)| *need)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    /// `/package.Service/Call` of everything that the daemon serves.
    fn calls() -> Vec<String> {
        let sets = [
            super::super::super::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let files = sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).expect("ours").file);
        let mut calls = Vec::new();
        for file in files {
            for service in &file.service {
                let path = |call: &str| format!("/{}.{}/{call}", file.package(), service.name());
                calls.extend(service.method.iter().map(|call| path(call.name())));
            }
        }
        calls
    }

    #[test]
    fn every_call_has_a_need() {
        let calls = calls();
        assert!(calls.len() > 14, "{calls:?}");
        let unknown: Vec<_> = calls.iter().filter(|call| need(call).is_none()).collect();
        assert!(unknown.is_empty(), "say who may make them, in NEEDS: {unknown:?}");
        let listed = NEEDS.iter().flat_map(|(service, needs)| needs.iter().map(move |(call, _)| (service, call)));
        let gone: Vec<_> =
            listed.map(|(service, call)| format!("/{service}/{call}")).filter(|path| !calls.contains(path)).collect();
        assert!(gone.is_empty(), "there is no such call any more: {gone:?}");
    }

    #[test]
    fn names_say_what_they_do() {
        for call in calls().iter().filter(|call| call.starts_with("/whimbrel.")) {
            let name = call.rsplit('/').next().expect("a call");
            let looks = ["Get", "List", "Watch", "Check", "Plan", "Explain"].iter().any(|word| name.starts_with(word));
            assert_eq!(need(call) == Some(READ), looks, "{call}");
            assert_ne!(need(call), Some(Open), "{call}");
        }
    }
}
