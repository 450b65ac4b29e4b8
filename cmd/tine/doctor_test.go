package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/listen"
)

func TestDiagnosisAsText(t *testing.T) {
	t.Parallel()
	d := diagnosis{
		Tine: "v1.2.3", Go: "go1.26.0", System: "linux/amd64", Kernel: "6.1.0", UID: 1000, CPUs: 8, CPUQuota: 1.5, Workers: 2,
		Descriptors: host.Descriptors{Limit: 1024, Values: 124, Control: 128, Askers: 64, Workers: 392},
		MemoryLimit: 512 << 20, Steering: "cbpf", Capabilities: []listen.Capability{
			{Name: "ebpf", Detail: "operation not permitted", Needs: "CAP_BPF"},
			{Name: "cbpf", OK: true, Detail: "attached"},
			{Name: "hash", OK: true, Detail: "by default"},
		},
		Gateway: []listen.Capability{{Name: "tickets", OK: true, Detail: "shared"}, {Name: "other processes", Detail: "permission denied", Needs: "root"}},
	}
	const want = `tine         v1.2.3, go1.26.0
system       linux/amd64, kernel 6.1.0, user 1000
CPUs         8, a quota of 1.5: 2 workers for an app
memory       limit of 512 MiB
descriptors  1024: 124 for large cached values, 128 for the control socket, 64 for each of health, metrics and dashboard; 392 for workers and their sockets
steering     cbpf: the kernel picks at random among the workers with room, which the master measures

no  ebpf  operation not permitted; needs CAP_BPF
ok  cbpf  attached
ok  hash  by default

gateways
ok  tickets          shared
no  other processes  permission denied; needs root
`
	var out strings.Builder
	d.print(term.NewScreen(&out))
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestGatewayCan: what a gateway lacks is said with what it needs, and no file is left behind.
func TestGatewayCan(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	few, many := gatewayCan(host.Descriptors{Limit: 256}), gatewayCan(host.Descriptors{Limit: 100_000})
	if len(many) != 6 || len(few) != 6 {
		t.Fatalf("%+v", many)
	}
	for i, c := range many {
		if c.Detail == "" || c.OK == (c.Needs != "") {
			t.Errorf("%+v", c)
		}
		if c.Name == "connections" && (!c.OK || few[i].OK || !strings.Contains(few[i].Detail, "room for 96 clients")) {
			t.Errorf("%+v, %+v", c, few[i])
		}
	}
	if left, err := filepath.Glob(dir + "/*/*doctor*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestBestSteering(t *testing.T) {
	t.Parallel()
	can := func(names ...string) (all []listen.Capability) {
		for _, name := range names {
			no, found := strings.CutPrefix(name, "!")
			all = append(all, listen.Capability{Name: no, OK: !found})
		}
		return all
	}
	for _, c := range []struct {
		can  []listen.Capability
		want string
	}{
		{can("hash", "cbpf", "ebpf"), "ebpf"},
		{can("!ebpf", "cbpf", "hash", "other"), "cbpf"},
		{can("!ebpf", "!cbpf", "hash"), "hash"},
		{can("!ebpf", "!cbpf", "!hash", "other"), "shared"},
		{nil, "shared"},
	} {
		if got := best(c.can); got != c.want {
			t.Errorf("%+v: %s, want %s", c.can, got, c.want)
		}
		if meaning(c.want) == "" {
			t.Errorf("%s is not explained", c.want)
		}
	}
}
