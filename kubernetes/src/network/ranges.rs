//! The public internet: all addresses without those that lead to the cluster, its nodes or the provider's metadata.

use ipnet::IpNet;

/// Everything that IPv4 has, and everything that IPv6 has assigned for global use. Outside `2000::/3` are the forms of
/// IPv6 that embed IPv4 addresses (`::ffff:0:0/96`, `64:ff9b::/96`), loopback, unique local, link-local and multicast.
const BASES: [(&str, &[&str]); 2] = [
    (
        "0.0.0.0/0",
        &[
            // "This network": Linux connects to itself.
            "0.0.0.0/8",
            "10.0.0.0/8",
            // Between a provider and its customers. Alibaba Cloud has its metadata at 100.100.100.200.
            "100.64.0.0/10",
            "127.0.0.0/8",
            // Azure's agent and metadata, at a public address.
            "168.63.129.16/32",
            // Link-local. Most providers have their metadata at 169.254.169.254.
            "169.254.0.0/16",
            "172.16.0.0/12",
            // Protocols of the IETF. Oracle Cloud has its metadata at 192.0.0.192.
            "192.0.0.0/24",
            "192.0.2.0/24",
            // Relays of 6to4.
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ],
    ),
    (
        "2000::/3",
        &[
            // Protocols of the IETF, among them Teredo, which embeds IPv4 addresses.
            "2001::/23",
            "2001:db8::/32",
            // 6to4, which embeds IPv4 addresses.
            "2002::/16",
            "3fff::/20",
        ],
    ),
];

/// The addresses at which providers serve metadata, and with it credentials. A wider range that an operator allows does
/// not include them.
const METADATA: [&str; 7] = [
    "100.100.100.200/32",
    "168.63.129.16/32",
    "169.254.169.254/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "fe80::a9fe:a9fe/128",
];

/// Returns the ranges of the public internet, each with the parts that do not belong to it. The ranges of the cluster are
/// such parts, too.
pub(super) fn internet(cluster: &[IpNet]) -> Vec<(IpNet, Vec<IpNet>)> {
    let internet = BASES.iter().filter_map(|(base, private)| {
        let base: IpNet = base.parse().ok()?;
        let private = private.iter().filter_map(|range| range.parse().ok());
        let ranges: Vec<IpNet> = private.chain(cluster.iter().copied()).collect();
        Some((base, within(base, &ranges)))
    });
    internet.collect()
}

/// Returns the metadata addresses that a range contains and does not name itself.
pub(super) fn metadata_within(range: IpNet) -> Vec<IpNet> {
    let all: Vec<_> = METADATA.iter().filter_map(|address| address.parse().ok()).collect();
    within(range, &all)
}

/// Returns the ranges that are a part of `base`, sorted, without those that another one contains.
fn within(base: IpNet, ranges: &[IpNet]) -> Vec<IpNet> {
    let mut parts: Vec<_> =
        ranges.iter().copied().filter(|range| base.contains(range) && *range != base).collect();
    parts.sort_unstable_by_key(|range| (range.network(), range.prefix_len()));
    parts.dedup_by(|part, before| before.contains(&*part));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    /// Guards that every constant is a range without bits after its prefix: others would be left out.
    #[test]
    fn the_constants_are_ranges() {
        for (base, private) in BASES {
            assert_eq!(
                internet(&[]).iter().find(|(range, _)| *range == net(base)).unwrap().1.len(),
                private.len()
            );
            assert!(private.iter().all(|range| net(range).trunc() == net(range)));
        }
        assert!(METADATA.iter().all(|address| address.parse::<IpNet>().is_ok()));
    }

    /// Guards that the cluster's ranges are taken out of the internet, if they are not private anyway.
    #[test]
    fn the_cluster_is_not_the_internet() {
        let ranges = ["10.244.0.0/16", "34.118.224.0/20", "2600:1900::/44", "fd00:10::/64"].map(net);
        let all = internet(&ranges);
        let [(_, four), (_, six)] = &all[..] else { panic!("{all:?}") };
        assert!(four.contains(&net("34.118.224.0/20")) && !four.contains(&net("10.244.0.0/16")));
        assert!(six.contains(&net("2600:1900::/44")) && !six.contains(&net("fd00:10::/64")));
    }

    /// Guards that a wide range does not include metadata addresses, and that one can be allowed by itself.
    #[test]
    fn wide_ranges_do_not_include_metadata() {
        assert_eq!(metadata_within(net("169.254.0.0/16")), [net("169.254.169.254/32")]);
        assert_eq!(metadata_within(net("169.254.169.254/32")), []);
        assert_eq!(metadata_within(net("10.0.0.0/8")), []);
        assert_eq!(metadata_within(net("fd00::/8")).len(), 2);
        assert_eq!(metadata_within(net("0.0.0.0/0")).len(), 4);
    }
}
