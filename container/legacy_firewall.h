// The kernel's older firewall, which iptables-legacy fills and nftables does not show.
#pragma once

// Whether its filter table drops what is forwarded unless a rule says otherwise, and no rule of
// that chain names a bridge of ours. Asks nothing that would load the table where nobody uses it.
bool legacy_firewall_drops_forwarded();
