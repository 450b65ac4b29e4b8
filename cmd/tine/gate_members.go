package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/fleet/targets"
)

// memberTable is a gateway in the JSON of gate members: its table, and what its workers know.
type memberTable struct {
	Version  int               `json:"version"`
	Epoch    uint64            `json:"epoch"`
	Members  []tableMember     `json:"members"`
	Workers  int               `json:"workers"`            // that have answered
	Requests *tallies.Requests `json:"requests,omitempty"` // none: no worker was asked
	Pools    []tallies.Pool    `json:"pools,omitempty"`
}

// tableMember is a member as the table has it, and as the workers do.
type tableMember struct {
	members.Member
	Seen *tallies.Member `json:"seen,omitempty"` // none: no worker has told of it
}

func newGateMembers() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:   "members [GATEWAY]",
		Short: "Show the servers of a gateway, and which of them get requests",
		Long: `Show the servers of a gateway: in which state each is and, asked of the gateway's
workers, how many requests it has, how often it is picked, how long it takes, how old
its report is, and why a request may go to it or not. A gateway is named by its app, or
by the cached value that has its servers.`,
		Example: `  tine gate members
  tine gate members web --json | jq '.web.members[] | select(.seen.picked | not)'`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				names, tables, err := memberTables(ctx, cmd, r, strings.Join(args, ""))
				if err != nil {
					return err
				}
				return answer(cmd, asJSON, tables, func(s term.Screen) { memberRows(names, tables).Write(s, 0) })
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// memberTables are the tables of the gateway with a name, or of all, by name, and the names in their order.
func memberTables(ctx context.Context, cmd *cobra.Command, r *target.Running, name string) (names []string, tables map[string]memberTable, err error) {
	var keys []string
	for _, v := range r.Seen.Cache.Values {
		if name != "" && (v.Key == name || v.Key == policy.TableKey(name)) {
			keys = append(keys, v.Key)
		}
		if name == "" && v.Source == targets.Source {
			keys = append(keys, v.Key)
		}
	}
	switch {
	case len(keys) == 0 && name != "":
		keys = []string{name} // which is not known, as is told then
	case len(keys) == 0:
		return nil, nil, errors.New("no gateway runs here: no cached value is a table of members")
	}
	seen, err := gatewaysOf(ctx, cmd, r)
	if err != nil {
		return nil, nil, err
	}
	tables = map[string]memberTable{}
	for _, key := range keys {
		data, _, err := r.Value(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		table, err := members.Decode(data)
		if err != nil {
			return nil, nil, fmt.Errorf("cached value %s: %w", key, err)
		}
		name := key
		if app, ok := policy.GatewayOf(key); ok {
			name = app
		}
		names, tables[name] = append(names, name), withSeen(table, workersOf(seen, name, table))
	}
	return names, tables, nil
}

// gatewaysOf asks the master, and prints which workers did not answer. A master of an earlier Tine knows none.
func gatewaysOf(ctx context.Context, cmd *cobra.Command, r *target.Running) (api.Gateways, error) {
	all, err := r.Gateways(ctx, "")
	var refused *api.Refusal
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return api.Gateways{}, nil
	}
	for _, w := range all.Silent {
		fmt.Fprintf(cmd.ErrOrStderr(), "tine: missing: app %s, slot %d, worker %d: %s\n", w.App, w.Slot, w.Worker, term.OneLine(w.Why))
	}
	return all, err
}

// workersOf is the gateway of a table: the app of its name or, of a cached value that is a table, the first that has the same members.
func workersOf(all api.Gateways, name string, table members.Table) *api.Gateway {
	for i, g := range all.Gateways {
		if g.App == name {
			return &all.Gateways[i]
		}
	}
	for i, g := range all.Gateways {
		if t := g.Tally; t.Listed == len(table.Members) && len(t.Members) > 0 && t.Members[0].ID == table.Members[0].ID {
			return &all.Gateways[i]
		}
	}
	return nil
}

func withSeen(table members.Table, g *api.Gateway) memberTable {
	t := memberTable{Version: table.Version, Epoch: table.Epoch, Members: make([]tableMember, len(table.Members))}
	seen := map[string]*tallies.Member{}
	if g != nil {
		t.Workers, t.Requests, t.Pools = g.Workers, &g.Tally.Requests, g.Tally.Pools
		for i := range g.Tally.Members {
			seen[g.Tally.Members[i].ID] = &g.Tally.Members[i]
		}
	}
	for i, m := range table.Members {
		t.Members[i] = tableMember{m, seen[m.ID]}
	}
	return t
}

func memberRows(names []string, tables map[string]memberTable) *term.Table {
	out := term.NewTable(term.Left("GATEWAY", 0), term.Left("MEMBER", 0), term.Left("STATE", 0), term.Left("TYPE", 8), term.Right("WEIGHT", 7),
		term.Right("IN FLIGHT", 2), term.Right("PICKS/S", 3), term.Right("FAILED", 6), term.Right("LATENCY", 4), term.Right("AGE", 5), term.Left("WHY", 1))
	for _, name := range names {
		for _, m := range tables[name].Members {
			state := term.Green
			if m.State != members.Ready {
				state = term.Red
			}
			row := []any{name, m.ID, state.Cell(string(m.State)), term.Dash(m.Type), m.Weight}
			why := term.Cell{Text: m.Why}
			if w := m.Seen; w != nil {
				inFlight, latency, age := strconv.Itoa(w.InFlight), "-", "-"
				if m.MaxInFlight > 0 {
					inFlight += "/" + strconv.Itoa(m.MaxInFlight)
				}
				if w.LatencyMS > 0 {
					latency = term.Milliseconds(w.LatencyMS)
				}
				if w.ReportAgeMS > 0 {
					age = term.Seconds(w.ReportAgeMS / float64(time.Second/time.Millisecond))
				}
				row = append(row, inFlight, term.Rate(w.PicksSecond), w.Failed, latency, age)
				why = whyCell(w)
			} else {
				row = append(row, "-", "-", "-", "-", "-")
			}
			why.Text = term.Dash(why.Text)
			out.Add(append(row, why)...)
		}
	}
	return out
}

// whyCell is why a member gets requests or not, without what the column of its state says already.
func whyCell(m *tallies.Member) term.Cell {
	text := strings.TrimPrefix(strings.TrimPrefix(m.Why, string(m.State)), ": ")
	if m.Picked {
		return term.Cell{Text: text}
	}
	return term.Red.Cell(text)
}

// gatewaysShown are the gateways of a master by the names of their apps. Where there are none nothing is asked; what is wrong with an answer
// is printed.
func gatewaysShown(cmd *cobra.Command, r *target.Running) map[string]api.Gateway {
	if !slices.ContainsFunc(r.Seen.Cache.Values, func(v api.CacheValue) bool { return v.Source == targets.Source }) {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), target.AnswerTimeout)
	defer cancel()
	all, err := gatewaysOf(ctx, cmd, r)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "tine: missing: gateways: %s\n", term.OneLine(err.Error()))
	}
	by := map[string]api.Gateway{}
	for _, g := range all.Gateways {
		by[g.App] = g
	}
	return by
}
