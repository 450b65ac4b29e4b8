package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tinehq/tine/"

// rules has the packages of the module that each package of cmd, and worker, may import, on any system. A package that is not
// listed fails the test, so that a new one is given its place first. Imports of tests do not count, and programs in scripts
// are free. The packages below supervisor and ipc have their table in supervisor/house_test.go.
var rules = map[string]string{
	"worker":      "ipc ipc/tickets",
	"worker/gate": "ipc/members ipc/policy ipc/tickets",

	"worker/gate/evaluate": "ipc ipc/members",

	"worker/gate/formula": "ipc/members",

	"worker/gate/history": "ipc ipc/decisions ipc/policy worker/gate",

	"worker/gate/queue": "ipc ipc/policy",

	"worker/gate/proxy": "ipc ipc/members ipc/tickets worker/gate worker/gate/history worker/gate/queue worker/gate/tunnel",

	"worker/gate/route": "ipc/members ipc/policy worker/gate worker/gate/proxy worker/gate/queue",

	"worker/gate/sticky":     "ipc/members ipc/policy worker/gate worker/gate/proxy worker/gate/route",
	"worker/gate/edge":       "",
	"worker/gate/proxyproto": "",
	"worker/gate/tcp":        "ipc ipc/members worker/gate worker/gate/tunnel",
	"worker/gate/tunnel":     "",

	"worker/gate/pending": "ipc/members worker/gate",

	"worker/gate/redirect": "ipc ipc/members worker/gate worker/gate/history worker/gate/pending worker/gate/proxy",

	"worker/gate/outcomes": "ipc/members worker/gate",

	"worker/gate/lookup": "ipc ipc/members worker/gate worker/gate/history worker/gate/pending worker/gate/proxy worker/gate/route",

	"cmd/demo": "worker",
	"cmd/tine": `cmd/tine/internal/gateway cmd/tine/internal/k2 cmd/tine/internal/pm2 cmd/tine/internal/target cmd/tine/internal/term cmd/tine/internal/top ipc ipc/decisions ipc/members ipc/policy ipc/tallies ipc/tickets supervisor supervisor/fleet/processes supervisor/fleet/targets worker/gate/formula
		supervisor/claim supervisor/config supervisor/config/file supervisor/control supervisor/control/api supervisor/control/metrics
		supervisor/handover supervisor/host supervisor/keeper supervisor/listen supervisor/logs supervisor/master supervisor/signals worker/gate/proxy worker/gate/route worker/gate`,
	"cmd/tine/internal/gateway": "ipc ipc/decisions ipc/members ipc/policy ipc/tallies ipc/tickets worker worker/gate worker/gate/evaluate worker/gate/formula worker/gate/history worker/gate/proxy worker/gate/queue worker/gate/route worker/gate/edge worker/gate/tunnel worker/gate/lookup worker/gate/outcomes worker/gate/pending worker/gate/redirect worker/gate/sticky worker/gate/proxyproto worker/gate/tcp",
	"cmd/tine/internal/term":    "supervisor/control supervisor/control/api",
	"cmd/tine/internal/target":  "cmd/tine/internal/term supervisor/claim supervisor/control supervisor/control/api",
	"cmd/tine/internal/top":     "cmd/tine/internal/term ipc/tallies supervisor/control supervisor/control/api",
	"cmd/tine/internal/pm2":     "supervisor/config supervisor/config/file supervisor/host",

	"cmd/tine/internal/k2": "ipc/members ipc/policy supervisor/config supervisor/control/api",
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list packages: %v", err)
	}
	return strings.Fields(string(out))
}

func TestHouseImports(t *testing.T) {
	for _, line := range list(t, "-f", "{{.ImportPath}},{{join .Imports \",\"}}", "./...") {
		all := strings.Split(line, ",")
		name := strings.TrimPrefix(all[0], module)
		if root, _, _ := strings.Cut(name, "/"); root == "scripts" || root == "supervisor" || root == "ipc" {
			continue
		}
		allowed, ok := rules[name]
		if !ok {
			t.Errorf("package %s has no rule here", name)
			continue
		}
		for _, path := range all[1:] {
			if dep, ours := strings.CutPrefix(path, module); ours && !slices.Contains(strings.Fields(allowed), dep) {
				t.Errorf("%s must not import %s", name, dep)
			}
		}
	}
}

// TestHouseSmallDeps: a worker brings in no library but the kernel's and HTTP/2, both of the Go project. The keeper, which
// outlives what goes wrong with all others, brings in the kernel's alone.
func TestHouseSmallDeps(t *testing.T) {
	kernel := []string{"golang.org/x/sys/"}
	for name, may := range map[string][]string{
		"ipc": kernel, "worker/gate": kernel, "supervisor/keeper": kernel, "supervisor/claim": kernel,
		"worker": {"golang.org/x/sys/", "golang.org/x/net/", "golang.org/x/text/"},
	} {
		for _, dep := range list(t, "-deps", "./"+name) {
			if strings.Contains(strings.Split(dep, "/")[0], ".") && !strings.HasPrefix(dep, module) &&
				!slices.ContainsFunc(may, func(prefix string) bool { return strings.HasPrefix(dep, prefix) }) {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}
