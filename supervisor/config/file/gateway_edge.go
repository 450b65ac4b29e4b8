package file

import (
	"math"

	"github.com/tinehq/tine/ipc/policy"
)

// edgeFields are the keys of what a gateway shows to clients.
func (d *decoder) edgeFields(e *policy.Edge) []field {
	t, l := &e.TLS, &e.Limits
	return []field{
		{"http2", d.word(&e.HTTP2, policy.HTTP2Off, policy.HTTP2Clients, policy.HTTP2Members)},
		{"protocol", d.word(&e.Protocol, policy.ProtocolHTTP, policy.ProtocolTCP)},
		{"proxy_protocol", d.sectionOf([]field{
			{"from", d.list(&e.ProxyFrom, nil)},
			{"to", d.boolean(&e.ProxyTo)},
		}).when(func() bool { return len(e.ProxyFrom) > 0 || e.ProxyTo })},
		{"tls", d.sectionOf([]field{
			{"certificates", d.list(&t.Certificates, d.absolute)},
			{"keys", d.list(&t.Keys, d.absolute)},
			{"listen", d.list(&t.Listen, nil)},
		}).when(func() bool { return len(t.Certificates)+len(t.Keys)+len(t.Listen) > 0 })},
		{"limits", d.sectionOf([]field{
			{"head", d.size(&l.Head).when(func() bool { return l.Head != 0 })},
			{"head_time", d.duration(&l.HeadTime).when(func() bool { return l.HeadTime != 0 })},
			{"idle_time", d.duration(&l.IdleTime).when(func() bool { return l.IdleTime != 0 })},
			{"body", d.size(&l.Body).when(func() bool { return l.Body != 0 })},
			{"rate", orWords(d, d.integer(&l.Rate, 1, math.MaxInt32, ""), &l.Rate, meaning[int]{"off", policy.Unlimited}).when(func() bool { return l.Rate != 0 })},
			{"connections", d.integer(&l.Conns, 0, math.MaxInt32, "off")},
			{"per_client", d.integer(&l.PerClient, 0, math.MaxInt32, "off")},
		}).when(func() bool { return *l != policy.Limits{} })},
	}
}
