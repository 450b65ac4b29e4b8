package supervisor

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tinehq/tine/"

// all stands for every row above.
const all = "*"

// house has who may import whom, from the ground floor up: a package imports only packages of rows above its own, so there
// is no way back and no circle. Packages of cmd, worker and scripts have their rules in cmd/tine. A row may be of a package
// that is not there yet. A package below supervisor or ipc that has no row fails the test.
var house = []struct{ name, imports string }{
	{"ipc", ""},
	{"ipc/members", ""},                        // the table of members, as it travels to a gateway
	{"ipc/tickets", "ipc"},                     // whether a request has begun, in memory that processes share
	{"ipc/policy", "ipc/members"},              // how a gateway treats requests, as it travels
	{"ipc/decisions", "ipc/members"},           // how a gateway chose a server, as it is told
	{"ipc/tallies", "ipc ipc/members"},         // what a gateway knows of its members, as it is told
	{"supervisor/pool", ""},                    // decides about the workers of one app
	{"supervisor/fleet", "ipc/members"},        // decides who is in the table of members
	{"supervisor/fleet/rounds", "ipc/members"}, // asks each member again and again
	{"supervisor/fleet/checks", "ipc/members supervisor/fleet supervisor/fleet/rounds"},
	{"supervisor/fleet/reports", "ipc ipc/members supervisor/fleet supervisor/fleet/checks supervisor/fleet/rounds"}, // by HTTP
	{"supervisor/fleet/dns", "ipc/members supervisor/fleet"},                                                         // by TTL, with the priorities of SRV
	{"supervisor/fleet/machine", "ipc/members"},                                                                      // the load of this host
	{"supervisor/fleet/processes", "ipc ipc/members supervisor/fleet"},                                               // apps whose processes are not ours
	{"supervisor/fleet/targets", "ipc/members supervisor/fleet supervisor/fleet/checks"},                             // a list of addresses as its source
	{"supervisor/civil", ""},
	{"supervisor/host", ""},
	{"supervisor/record", ""},
	{"supervisor/keeper", ""},
	{"supervisor/handover", ""},
	{"supervisor/claim", ""},
	{"supervisor/control/api", "ipc/decisions ipc/tallies"}, // the words, without the server

	{"supervisor/proc/output", "ipc"},
	{"supervisor/proc", "ipc supervisor/proc/output"},
	{"supervisor/listen/bpf", "ipc"},
	{"supervisor/listen", "ipc ipc/tickets supervisor/listen/bpf"},
	{"supervisor/cache", "ipc supervisor/record"},
	{"supervisor/control", "ipc supervisor/claim supervisor/control/api"},
	{"supervisor/control/dashboard", "supervisor/control supervisor/control/api"},
	{"supervisor/control/metrics", "ipc ipc/members ipc/tallies supervisor/control supervisor/control/api"},

	{"supervisor/config", "ipc supervisor/fleet/checks supervisor/fleet/dns ipc/members ipc/policy supervisor/civil supervisor/control/api supervisor/host supervisor/listen supervisor/proc"},
	{"supervisor/config/file", "ipc/members ipc/policy supervisor/config supervisor/control/api supervisor/host"},
	{"supervisor/signals", ""},
	{"supervisor/wake", ""}, // the one timer of the loop
	{"supervisor/above", "ipc"},
	{"supervisor/filewatch", "supervisor/config"},
	{"supervisor/fleet/topology", "ipc/members supervisor/config supervisor/filewatch supervisor/fleet"}, // Pinus' servers.json as a source
	{"supervisor/launch", "supervisor/control/api supervisor/wake ipc supervisor/config supervisor/host supervisor/proc supervisor/proc/output"},
	{"supervisor/book", "supervisor/config supervisor/control/api"},
	{"supervisor/logs", "ipc supervisor/book supervisor/config supervisor/control/api supervisor/proc supervisor/proc/output"},

	{"supervisor/apps", "supervisor/civil supervisor/pool"},                               // decides between apps
	{"supervisor/journal", "supervisor/apps supervisor/control/api supervisor/pool"},      // what is told and remembered of records
	{"supervisor/orders", "supervisor/apps supervisor/control/api supervisor/pool"},       // decides how an order goes on
	{"supervisor/handle", "ipc supervisor/launch supervisor/proc supervisor/proc/output"}, // one worker
	{"supervisor/succession", `ipc supervisor/control/api supervisor/pool supervisor/record supervisor/keeper supervisor/handover supervisor/proc
		supervisor/proc/output supervisor/listen supervisor/cache supervisor/config supervisor/apps`},
	{"supervisor/snapshot", `ipc supervisor/cache supervisor/config supervisor/control/api supervisor/listen supervisor/pool supervisor/proc
		supervisor/apps`}, // what readers look at
	{"supervisor/slots", "ipc supervisor/listen supervisor/snapshot"},                                                          // the sockets of an app: who uses them, what is seen at them
	{"supervisor/values", "ipc ipc/policy supervisor/cache supervisor/config supervisor/control/api supervisor/fleet/targets"}, // and their sources
	// tables and policies of gateways
	{"supervisor/gateways", `ipc/members ipc/policy supervisor/config supervisor/fleet supervisor/fleet/targets supervisor/listen supervisor/pool supervisor/snapshot
		supervisor/fleet/checks supervisor/fleet/dns supervisor/fleet/processes supervisor/fleet/reports supervisor/fleet/rounds supervisor/fleet/topology`},
	{"supervisor/serve", `ipc ipc/decisions ipc/members ipc/policy ipc/tallies supervisor/fleet/checks supervisor/fleet/machine supervisor/fleet/reports supervisor/handle supervisor/values supervisor/claim supervisor/handover supervisor/cache supervisor/control supervisor/control/api
		supervisor/control/dashboard supervisor/control/metrics supervisor/config supervisor/config/file supervisor/book supervisor/host
		supervisor/listen supervisor/orders supervisor/pool supervisor/proc supervisor/snapshot`},
	{"supervisor/handlers", "ipc supervisor/cache supervisor/logs"}, // the program's own functions
	{"supervisor/talk", "ipc"},                                      // what a worker may say when
	{"supervisor/crew", `ipc ipc/members ipc/tickets supervisor/apps supervisor/book supervisor/cache supervisor/config supervisor/config/file supervisor/control
		supervisor/control/api supervisor/filewatch supervisor/handle supervisor/handlers supervisor/journal supervisor/wake supervisor/launch
		supervisor/listen supervisor/logs supervisor/pool supervisor/proc supervisor/slots supervisor/snapshot
		supervisor/succession supervisor/talk supervisor/values`}, // an app as its master runs it: the hand of its pool
	{"supervisor/desk", `supervisor/apps supervisor/config supervisor/control/api supervisor/crew supervisor/launch supervisor/logs supervisor/orders
		supervisor/pool supervisor/signals`}, // what callers order: the hand of orders
	{"supervisor/plan", `supervisor/apps supervisor/config supervisor/control/api supervisor/crew supervisor/desk supervisor/host supervisor/launch supervisor/logs
		supervisor/pool`}, // how a new config becomes the one that runs
	{"supervisor/estate", `ipc supervisor/apps supervisor/cache supervisor/config supervisor/config/file supervisor/control supervisor/control/api
		supervisor/crew supervisor/handle supervisor/handover supervisor/host supervisor/journal supervisor/keeper supervisor/launch supervisor/listen
		supervisor/logs supervisor/pool supervisor/proc supervisor/record supervisor/serve supervisor/slots supervisor/snapshot
		supervisor/succession supervisor/talk supervisor/wake`}, // what a master leaves, and the next one takes over
	{"supervisor/master", all}, // the loop, which carries out what the cores decide

	{"supervisor", "ipc supervisor/handlers supervisor/master supervisor/config supervisor/config/file"}, // the door
}

// forTests are packages that only tests import.
var forTests = []string{"ipc/eventually", "supervisor/script"}

// pure are the cores: no I/O, clock, lock, goroutine or log, so that a script drives them to the millisecond.
var pure = []string{"supervisor/pool", "supervisor/fleet", "supervisor/apps", "supervisor/orders", "supervisor/civil", "supervisor/talk"}

// owners has the libraries that some packages alone may import, by the beginning of the path.
var owners = map[string]string{
	"github.com/cilium/":              "supervisor/listen supervisor/listen/bpf",
	"github.com/goccy/go-yaml":        "supervisor/config/file",
	"github.com/prometheus/":          "supervisor/control/metrics supervisor/fleet/machine supervisor/fleet/processes",
	"github.com/cloudflare/tableflip": "supervisor/handover",
	"github.com/fsnotify/":            "supervisor/filewatch",
	"github.com/miekg/dns":            "supervisor/fleet/dns",
	"modernc.org/sqlite":              "supervisor/cache",
}

// found is what `go list -json` tells of a package.
type found struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func (f found) name() string { return strings.TrimPrefix(f.ImportPath, module) }

// packages are all of the module, as this system sees them.
func packages(t *testing.T, goos string) (list []found) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "../...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(out)
	for decoder.More() {
		var f found
		if err := decoder.Decode(&f); err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("cannot list the packages for %s: %v", goos, err)
	}
	if len(list) < 20 {
		t.Fatalf("only %d packages for %s", len(list), goos)
	}
	return list
}

// TestHouseTable: no row of the table itself leads back up.
func TestHouseTable(t *testing.T) {
	t.Parallel()
	var above []string
	for _, row := range house {
		if slices.Contains(above, row.name) {
			t.Errorf("%s has two rows", row.name)
		}
		for dep := range strings.FieldsSeq(row.imports) {
			if dep != all && !slices.Contains(above, dep) {
				t.Errorf("the row of %s names %s, which has no row above it", row.name, dep)
			}
		}
		above = append(above, row.name)
	}
}

// TestHouse: the packages import each other as the table says, on Linux and on macOS.
func TestHouse(t *testing.T) {
	t.Parallel()
	for _, goos := range []string{"linux", "darwin"} {
		for _, f := range packages(t, goos) {
			name := f.name()
			for _, path := range f.Imports {
				dep := strings.TrimPrefix(path, module)
				if slices.Contains(forTests, dep) {
					t.Errorf("%s: %s imports %s, which is for tests only", goos, name, dep)
				}
			}
			if slices.Contains(forTests, name) || !strings.HasPrefix(name+"/", "supervisor/") && !strings.HasPrefix(name+"/", "ipc/") {
				continue
			}
			at := slices.IndexFunc(house, func(row struct{ name, imports string }) bool { return row.name == name })
			if at < 0 {
				t.Errorf("%s: %s has no row in the table of this test: give it a place", goos, name)
				continue
			}
			may := strings.Fields(house[at].imports)
			if house[at].imports == all {
				may = nil
				for _, row := range house[:at] {
					may = append(may, row.name)
				}
			}
			for _, path := range f.Imports {
				if dep, ours := strings.CutPrefix(path, module); ours && !slices.Contains(may, dep) {
					t.Errorf("%s: %s must not import %s", goos, name, dep)
				}
				for library, owner := range owners {
					if strings.HasPrefix(path, library) && !slices.Contains(strings.Fields(owner), name) {
						t.Errorf("%s: %s imports %s, which is for %s", goos, name, path, owner)
					}
				}
			}
		}
	}
}

// TestHousePure: the cores import nothing that acts, waits or shares, ask no clock and start no goroutine.
func TestHousePure(t *testing.T) {
	t.Parallel()
	for _, f := range packages(t, "linux") {
		if !slices.Contains(pure, f.name()) {
			continue
		}
		for _, path := range f.Imports {
			switch path {
			case "cmp", "encoding/json", "errors", "fmt", "iter", "maps", "math", "math/bits", "net/http", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8":
			default:
				if !strings.HasPrefix(path, module) {
					t.Errorf("%s imports %s", f.name(), path)
				}
			}
		}
		for _, name := range f.GoFiles {
			file := filepath.Join(f.Dir, name)
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s starts a goroutine", file)
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
						t.Errorf("%s uses time.%s", file, n.Sel.Name)
					} else if ok && x.Name == "http" && !strings.HasPrefix(n.Sel.Name, "Status") {
						t.Errorf("%s uses http.%s: a core may use the names of statuses only", file, n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// clock are the names of package time that look at a clock or wait.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
