//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

// gateway has every proxy pass the same load on to the same server, in turns. What counts is the CPU time that a request costs the
// proxy, by the clock of the system: it is steadier than requests per second where proxy, server and clients share the CPUs.
func (b *bench) gateway() error {
	if !b.has("nginx", "the server behind the gateways") || !b.has("wrk", "the load of the gateways") {
		return nil
	}
	n := runtime.NumCPU()
	server, err := b.serve(b.nginx(n), 1)
	if err != nil {
		return err
	}
	defer server.p.stop()
	commands := []command{
		b.tineGateway("tine gateway", n, server.addr), b.nginxGateway(n, server.addr),
		{"tuned ReverseProxy", func(addr string) (*exec.Cmd, error) {
			return exec.Command(filepath.Join(b.dir, "reverseproxy"), "-listen", addr, "-to", server.addr), nil
		}},
	}
	if b.has("haproxy", "the gateway of HAProxy") {
		commands = append(commands, b.haproxy(n, "http", server.addr))
	}
	if b.has("caddy", "the gateway of Caddy, best built from its module: go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9") {
		commands = append(commands, b.caddy(server.addr))
	}
	return b.proxies("HTTP", commands, map[string]float64{"Caddy": 0.4, "tuned ReverseProxy": 0.65, "HAProxy": 2.2})
}

// proxies compares the CPU time of a request of the first command with that of the others; most is how many times theirs it may be.
func (b *bench) proxies(what string, commands []command, most map[string]float64) error {
	var peers []*peer
	for _, c := range commands {
		s, err := b.serve(c, 1)
		if err != nil {
			return err
		}
		defer s.p.stop()
		peers = append(peers, s)
	}
	costs, rates := map[*peer][]time.Duration{}, map[*peer][]float64{}
	turns := slices.Clone(peers)
	for range b.times(7, 2) {
		for _, s := range turns {
			seconds := b.times(3, 1)
			before := s.used()
			rate, err := b.rateOf(s, 32, seconds)
			if err != nil {
				return err
			}
			rates[s] = append(rates[s], rate)
			costs[s] = append(costs[s], time.Duration(float64(s.used()-before)/(rate*float64(seconds))))
		}
		slices.Reverse(turns)
	}
	own := median(costs[peers[0]])
	for _, s := range peers {
		target, v, measured := "", info, fmt.Sprintf("%.1f us (%.0f/s)", float64(median(costs[s]))/1e3, median(rates[s]))
		ratio := float64(own) / float64(median(costs[s]))
		if bound := most[s.name]; bound > 0 {
			target, v = fmt.Sprintf("tine <= %.2fx", bound), verdictOf(ratio <= bound)
		}
		if s != peers[0] {
			measured += fmt.Sprintf(", tine %.2fx", ratio)
		}
		b.table.add(fmt.Sprintf("%s: CPU of a request, %s", what, s.name), target, measured, v)
	}
	return nil
}

// used is the CPU time of all processes of a peer. Those that come and go in between are not looked for.
func (s *peer) used() (sum time.Duration) {
	for _, pid := range append(procfs.Below(s.p.pid()), s.p.pid()) {
		sum += procfs.CPUTime(pid)
	}
	return sum
}

// tineGateway is a gateway before one server. more are further keys of it.
func (b *bench) tineGateway(name string, workers int, to string, more ...string) command {
	return command{name, func(addr string) (*exec.Cmd, error) {
		config := filepath.Join(b.dir, "gate-"+strings.ReplaceAll(addr, ":", "-")+".yaml")
		keys := append([]string{fmt.Sprintf("members: [%q]", to)}, more...)
		text := fmt.Sprintf("apps:\n  gate:\n    listen: [%q]\n    workers: %d\n    gateway: {%s}\n", addr, workers, strings.Join(keys, ", "))
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			return nil, err
		}
		return exec.Command(b.bin("tine"), "run", "-c", config), nil
	}}
}

func (b *bench) nginxGateway(workers int, to string) command {
	return command{"nginx", func(addr string) (*exec.Cmd, error) {
		return b.withConfig("nginx", fmt.Sprintf(`daemon off; worker_processes %d; pid $DIR/pid; error_log stderr;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path $DIR/a; proxy_temp_path $DIR/b; fastcgi_temp_path $DIR/c; uwsgi_temp_path $DIR/d; scgi_temp_path $DIR/e;
keepalive_requests 1000000000;
upstream server { server %s; keepalive 128; keepalive_requests 1000000000; }
server { listen %s reuseport; location / { proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } } }
`, workers, to, addr), "-c")
	}}
}

// haproxy has HAProxy pass on to a server, in a mode: http or tcp.
func (b *bench) haproxy(threads int, mode, to string) command {
	return command{"HAProxy", func(addr string) (*exec.Cmd, error) {
		return b.withConfig("haproxy", fmt.Sprintf(`global
	nbthread %d
	maxconn 4096
defaults
	mode %s
	timeout client 30s
	timeout server 30s
	timeout connect 1s
	http-reuse always
listen gate
	bind %s
	server one %s
`, threads, mode, addr, to), "-f")
	}}
}

func (b *bench) caddy(to string) command {
	return command{"Caddy", func(addr string) (*exec.Cmd, error) {
		_, port, _ := strings.Cut(addr, ":") // for every host that is asked for
		cmd, err := b.withConfig("caddy", fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://:%s {\n\treverse_proxy %s\n}\n", port, to), "--config")
		if err == nil {
			cmd.Args = slices.Insert(cmd.Args, 1, "run", "--adapter", "caddyfile")
			cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir, "XDG_DATA_HOME="+b.dir)
		}
		return cmd, err
	}}
}

// withConfig is a program with a config in a folder of its own, which $DIR in it stands for.
func (b *bench) withConfig(program, text, flag string) (*exec.Cmd, error) {
	dir, err := os.MkdirTemp(b.dir, program+"-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o644); err != nil {
		return nil, err
	}
	return exec.Command(program, flag, config), nil
}
