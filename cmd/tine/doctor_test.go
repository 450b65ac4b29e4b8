package main

import (
	"github.com/tinehq/tine/supervisor/host"
	"strings"
	"testing"

	"github.com/tinehq/tine/cmd/tine/internal/term"
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
`
	var out strings.Builder
	d.print(term.NewScreen(&out))
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
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
