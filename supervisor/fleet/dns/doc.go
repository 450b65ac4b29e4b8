// Package dns lists the members that a name has in the DNS: the addresses of a host (A, AAAA), or the servers of a service (SRV).
//
//	web.internal:8080            A, AAAA ──▶ one member for each address, at this port
//	_http._tcp.web.internal      SRV ──▶ hosts, ports, priorities, weights ──▶ A, AAAA of each host
//
// A name is looked up again when the shortest TTL in its answers is over, and no sooner than a second and no later than 5 minutes after
// that. Go's own resolver does not tell TTLs, so that github.com/miekg/dns asks the servers of /etc/resolv.conf, or one that is given, such as
// that of Consul. The file /etc/hosts is not looked at: a list of members in a config is for that.
//
// While a name cannot be looked up, or has no address, its members stay (fleet.Silent).
//
// # Priority and weight
//
// Of the servers of a service, those of the lowest priority number get the requests, each as its weight says. Those of the next number
// are listed with weight 0, which are checked and not picked, until all of the first are down: see Update. A weight of 0 among others is a tenth of
// the weight 1, and where all are 0 each is 1.
package dns
