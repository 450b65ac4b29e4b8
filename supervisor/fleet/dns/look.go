package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// resolver asks servers.
type resolver struct{ options Options }

// look looks the target up.
func (r resolver) look(ctx context.Context) (answer, error) {
	target := r.options.Target
	found, err := r.find(ctx, target)
	if err != nil {
		return answer{}, fmt.Errorf("cannot look %s up: %w", target, err)
	}
	// By priority; addresses in order, so that the same answer in another order is the same list.
	slices.SortFunc(found.servers, func(a, b server) int { return cmp.Or(cmp.Compare(a.priority, b.priority), a.at.Compare(b.at)) })
	seen := map[netip.AddrPort]bool{}
	found.servers = slices.DeleteFunc(found.servers, func(v server) bool {
		twice := seen[v.at]
		seen[v.at] = true
		return twice
	})
	if n := len(found.servers); n > mostServers {
		return answer{}, fmt.Errorf("%s has %d servers: at most %d are expected", target, n, mostServers)
	}
	return found, nil
}

func (r resolver) find(ctx context.Context, target string) (answer, error) {
	config, err := r.config()
	if err != nil {
		return answer{}, err
	}
	if !strings.HasPrefix(target, "_") {
		host, port, err := net.SplitHostPort(target)
		if err != nil {
			return answer{}, err
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return answer{}, err
		}
		return r.hosts(ctx, config, host, server{at: netip.AddrPortFrom(netip.Addr{}, uint16(n))}, nil)
	}
	reply, err := r.ask(ctx, config, target, dns.TypeSRV)
	if err != nil {
		return answer{}, err
	}
	found := answer{ttl: ttlOf(reply.Answer)}
	var last error
	services := 0
	for _, record := range reply.Answer {
		srv, is := record.(*dns.SRV)
		if !is || srv.Target == "." {
			continue // "." says that there is no such service
		}
		if services++; services > mostServers {
			break
		}
		like := server{netip.AddrPortFrom(netip.Addr{}, srv.Port), srv.Priority, srv.Weight}
		one, err := r.hosts(ctx, config, srv.Target, like, reply.Extra)
		if err != nil {
			last = fmt.Errorf("%s: %w", srv.Target, err)
			continue
		}
		found.servers, found.ttl = append(found.servers, one.servers...), min(found.ttl, one.ttl)
	}
	switch {
	case last != nil: // a part of a service is not the service: the servers that were found before stay
		return answer{}, last
	case len(found.servers) == 0:
		return answer{}, errors.New("the service has no server")
	}
	return found, nil
}

// hosts makes a server like one of each address of a host. Where the addresses came with the answer before, the host is not looked up.
func (r resolver) hosts(ctx context.Context, config *dns.ClientConfig, host string, like server, extra []dns.RR) (answer, error) {
	var found answer
	take := func(records []dns.RR) {
		for _, record := range records {
			var ip net.IP
			switch a := record.(type) {
			case *dns.A:
				ip = a.A
			case *dns.AAAA:
				ip = a.AAAA
			}
			if addr, ok := netip.AddrFromSlice(ip); ok {
				v := like
				v.at = netip.AddrPortFrom(addr.Unmap(), like.at.Port())
				found.servers = append(found.servers, v)
			}
		}
	}
	own := slices.DeleteFunc(slices.Clone(extra), func(record dns.RR) bool { return !strings.EqualFold(record.Header().Name, host) })
	if take(own); len(found.servers) > 0 {
		found.ttl = ttlOf(own)
		return found, nil
	}
	found.ttl = latest
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, err := r.ask(ctx, config, host, kind)
		if err != nil {
			return answer{}, err
		}
		if take(reply.Answer); len(reply.Answer) > 0 {
			found.ttl = min(found.ttl, ttlOf(reply.Answer))
		}
	}
	if len(found.servers) == 0 {
		return answer{}, errors.New("the name has no address")
	}
	return found, nil
}

func (r resolver) config() (*dns.ClientConfig, error) {
	if r.options.Server != "" {
		host, port, err := net.SplitHostPort(r.options.Server)
		if err != nil {
			return nil, err
		}
		return &dns.ClientConfig{Servers: []string{host}, Port: port, Ndots: 1, Timeout: 2, Attempts: 2}, nil
	}
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err == nil && len(config.Servers) == 0 {
		err = errors.New("/etc/resolv.conf names no server")
	}
	return config, err
}

// ask asks for the records of a name: the names that the search list makes of it in turn, each at all servers in turn.
func (r resolver) ask(ctx context.Context, config *dns.ClientConfig, name string, kind uint16) (*dns.Msg, error) {
	var failed error
	for _, full := range config.NameList(name) {
		reply, err := r.askServers(ctx, config, full, kind)
		switch {
		case err != nil:
			return nil, err
		case reply.Rcode == dns.RcodeNameError:
			failed = errors.New("no such name")
		case reply.Rcode != dns.RcodeSuccess:
			failed = fmt.Errorf("the server answers %s", dns.RcodeToString[reply.Rcode])
		default:
			return reply, nil
		}
	}
	return nil, failed
}

var errLate = errors.New("no answer in time")

func (r resolver) askServers(ctx context.Context, config *dns.ClientConfig, name string, kind uint16) (reply *dns.Msg, err error) {
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(1232, false)
	client := dns.Client{Timeout: time.Duration(max(config.Timeout, 1)) * time.Second}
	for range max(config.Attempts, 1) {
		for _, address := range config.Servers {
			at := net.JoinHostPort(address, config.Port)
			reply, _, err = client.ExchangeContext(ctx, question, at)
			if err == nil && reply.Truncated {
				tcp := client
				tcp.Net = "tcp"
				reply, _, err = tcp.ExchangeContext(ctx, question, at)
			}
			if ctx.Err() != nil {
				return nil, errLate
			}
			if err == nil && reply.Rcode != dns.RcodeServerFailure && reply.Rcode != dns.RcodeRefused {
				return reply, nil
			}
		}
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		err = errLate
	}
	return reply, err
}

// ttlOf is the shortest TTL of some records.
func ttlOf(records []dns.RR) time.Duration {
	shortest := latest
	for _, record := range records {
		if record.Header().Rrtype != dns.TypeOPT {
			shortest = min(shortest, time.Duration(record.Header().Ttl)*time.Second)
		}
	}
	return shortest
}
