package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
)

// picked is the JSON of gate pick.
type picked struct {
	Gateway string        `json:"gateway"`
	Type    string        `json:"type,omitempty"` // of the members that the route leads to; none: all
	Key     string        `json:"key,omitempty"`
	Way     string        `json:"way"`
	Member  string        `json:"member,omitempty"`  // none: none is picked
	Why     string        `json:"why,omitempty"`     // that none is
	Members []gate.Reason `json:"members,omitempty"` // of the type, with why each may be picked or not
}

func newGatePick() *cobra.Command {
	var asJSON bool
	var t target.Target
	var method string
	var headers []string
	cmd := &cobra.Command{
		Use:   "pick GATEWAY [URL]",
		Short: "Show which server a request would go to, and why",
		Long: `Show which server a request would go to: by which key, and of each server whether a
request may go there now. For the ways by key it is the server that every worker of the
gateway picks. The other ways go by how many requests each worker has, which this
command has none of: tine gate history has what was picked indeed.`,
		Example: `  tine gate pick gate http://example.com/rooms/r1
  tine gate pick gate '/?uid=10001' -H 'Cookie: session=s1'`,
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := requestOf(method, append(args, "/")[1], headers)
			if err != nil {
				return term.Usage(err)
			}
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				p, err := pickFor(ctx, r, args[0], request)
				if err != nil {
					return err
				}
				return answer(cmd, asJSON, p, func(s term.Screen) { p.write(s) })
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().StringVarP(&method, "method", "X", http.MethodGet, "`METHOD` of the request")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "`HEADER` of the request, as 'Cookie: session=s1'; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// requestOf makes a request of flags.
func requestOf(method, url string, headers []string) (*http.Request, error) {
	if strings.HasPrefix(url, "/") {
		url = "http://localhost" + url
	}
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "127.0.0.1:1"
	for _, text := range headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("-H: %q is not a header: write one as 'X-User: bob'", text)
		}
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return r, nil
}

// given notes the choice for a request that is not passed on.
type given struct{ choice proxy.Choice }

// Deliver notes it.
func (g *given) Deliver(_ http.ResponseWriter, _ *http.Request, c proxy.Choice) { g.choice = c }

// pickFor picks by the policy and the table of a gateway, as its workers do.
func pickFor(ctx context.Context, r *target.Running, gateway string, request *http.Request) (picked, error) {
	b, _, err := r.Value(ctx, policy.Key(gateway))
	if err != nil {
		return picked{}, fmt.Errorf("%s is not a gateway of this config: %w", gateway, err)
	}
	p, err := policy.Decode(b)
	if err != nil {
		return picked{}, err
	}
	if b, _, err = r.Value(ctx, policy.TableKey(gateway)); err != nil {
		return picked{}, err
	}
	table, err := members.Decode(b)
	if err != nil {
		return picked{}, err
	}
	if p.Way() == policy.ByScore {
		return picked{}, errors.New("the scores are known to the gateway's workers: see tine gate history")
	}
	pools, err := route.NewPools(p, gate.Options{Bounded: p.Bounded, Signed: p.Signed})
	if err != nil {
		return picked{}, err
	}
	defer pools.Close()
	pools.Update(table, ipc.Monotonic())
	var told given
	router, err := route.New(p, route.Options{Pools: pools, Client: proxy.Trust(p.Trusted()).ClientIP, Deliver: map[string]route.Deliverer{
		policy.DeliverRedirect: &told, policy.DeliverLookup: &told,
	}})
	if err != nil {
		return picked{}, err
	}
	c := router.Route(request)
	if c.Handler != nil {
		c.Handler.ServeHTTP(nil, request)
		c = told.choice
	}
	out := picked{Gateway: gateway, Type: c.Pool, Key: c.Key, Way: wayOf(p, c.Pool)}
	if c.Picker == nil {
		out.Why = "no route is for this request, or no member may have it"
		return out, nil
	}
	if out.Key == "" && gate.ByKey(out.Way) {
		out.Key = proxy.Trust(p.Trusted()).ClientIP(request)
	}
	k, err := c.Picker.Pick(gate.Request{Key: out.Key, Now: ipc.Monotonic()})
	if err == nil {
		out.Member = k.Member().ID
		k.Release()
	} else {
		out.Why = err.Error()
	}
	out.Members = c.Picker.Explain(ipc.Monotonic())
	return out, nil
}

// wayOf is how members of a type are picked.
func wayOf(p policy.Policy, kind string) string {
	for _, r := range p.Routes {
		if r.To == kind && r.Pick != "" {
			return r.Pick
		}
	}
	if way := p.Way(); way != "" {
		return way
	}
	return gate.Prequal
}

func (p picked) write(s term.Screen) {
	by := p.Way
	if gate.ByKey(p.Way) {
		by += fmt.Sprintf(" of the key %q", p.Key)
	}
	switch {
	case p.Member == "":
		fmt.Fprintf(s, "no member: %s\n", p.Why)
	case p.Type != "":
		fmt.Fprintf(s, "%s, by %s, of the members of type %s\n", p.Member, by, p.Type)
	default:
		fmt.Fprintf(s, "%s, by %s\n", p.Member, by)
	}
	if len(p.Members) == 0 {
		return
	}
	out := term.NewTable(term.Left("MEMBER", 0), term.Left("PICKED", 0), term.Left("WHY", 1))
	for _, m := range p.Members {
		can := "may be"
		if !m.Picks {
			can = "no"
		}
		out.Add(m.ID, can, m.Text)
	}
	out.Write(s, 0)
}

func newGateDrain(undo bool) *cobra.Command {
	var t target.Target
	var reason, gateway string
	cmd := &cobra.Command{
		Use:   "drain MEMBER",
		Short: "Send no more requests to a server of a gateway",
		Long: `Send no more requests to a server of a gateway. Those that it has are finished. It
holds until tine gate undrain, or until tine ends, also while the server is not there.`,
		Example: "  tine gate drain 10.0.0.1:8080 --reason 'a new disk'",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				of, err := gatewayWith(ctx, r, gateway, args[0])
				if err != nil {
					return err
				}
				if err := r.DrainMember(ctx, api.MemberDrain{Gateway: of, Member: args[0], Reason: reason, Undo: undo}); err != nil {
					return err
				}
				text := "%s gets no more requests of gateway %s\n"
				if undo {
					text = "%s gets requests of gateway %s again\n"
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), text, args[0], of)
				return err
			})
		},
	}
	if undo {
		cmd.Use, cmd.Short, cmd.Long = "undrain MEMBER", "Send requests to a server of a gateway again", ""
		cmd.Example = "  tine gate undrain 10.0.0.1:8080"
	} else {
		cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that is shown as why")
	}
	t.Define(cmd, false)
	cmd.Flags().StringVar(&gateway, "gateway", "", "`NAME` of the gateway; needed where several have the member")
	return cmd
}

// gatewayWith is the gateway that has a member, of those that run.
func gatewayWith(ctx context.Context, r *target.Running, gateway, member string) (string, error) {
	if gateway != "" {
		return gateway, nil
	}
	var found, all []string
	for _, v := range r.Seen.Cache.Values {
		app, ok := policy.GatewayOf(v.Key)
		if !ok {
			continue
		}
		b, _, err := r.Value(ctx, v.Key)
		if err != nil {
			continue // it has no table yet
		}
		table, err := members.Decode(b)
		if err != nil {
			return "", fmt.Errorf("cached value %s: %w", v.Key, err)
		}
		for _, m := range table.Members {
			if all = append(all, m.ID); m.ID == member {
				found = append(found, app)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", api.Unknown("member", member, all)
	}
	return "", fmt.Errorf("gateways %s have a member %s: add --gateway NAME", strings.Join(found, " and "), member)
}
