package file

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/host"
)

// config decodes the whole file. The fields of [config.Config] say what each key means.
func (d *decoder) config(root ast.Node) *config.Config {
	c := &config.Config{}
	d.section("", root, d.configFields(c), isExtension)
	return c
}

// isExtension reports whether a key at the top is ignored: x-... keys hold anchors for merge keys and aliases.
func isExtension(key string) bool { return strings.HasPrefix(key, "x-") }

// configFields are the keys at the top of a file, of c.
func (d *decoder) configFields(c *config.Config) []field {
	return []field{
		{"name", d.textInto(&c.Name)},
		{"include", d.atTop(anyOf(textSchema(), listSchema(textSchema())))},
		{"env_file", d.atTop(anyOf(textSchema(), listSchema(textSchema())))},
		{"environments", d.atTop(&schema{Type: "object", Additional: &schema{Ref: "#/$defs/environment"}})},
		{"apps", codec{
			func(path string, n ast.Node) {
				for _, e := range d.entries(path, n) {
					at := config.Join(path, e.key)
					d.values[at] = e.at
					a := config.NewApp(e.key)
					a.Dir = d.sourceOf(e.at).dir
					d.app(at, &a, e.value)
					c.Apps = append(c.Apps, a)
				}
			},
			mapSchema(&schema{Ref: "#/$defs/app"}),
			func() any {
				var p pairs
				for i := range c.Apps {
					p = append(p, pair{c.Apps[i].Name, showFields(d.appFields(&c.Apps[i]))})
				}
				return p
			},
		}},
		{"cache", codec{
			func(path string, n ast.Node) {
				for _, e := range d.entries(path, n) {
					at := config.Join(path, e.key)
					d.values[at] = e.at
					v := config.CacheValue{Key: e.key, Dir: d.sourceOf(e.at).dir}
					v.Fill()
					d.section(at, e.value, d.cacheFields(&v), nil)
					c.Cache = append(c.Cache, v)
				}
			},
			mapSchema(&schema{Ref: "#/$defs/value"}),
			func() any {
				var p pairs
				for i := range c.Cache {
					if c.Cache[i].Func == nil {
						p = append(p, pair{c.Cache[i].Key, showFields(d.cacheFields(&c.Cache[i]))})
					}
				}
				if p == nil {
					return nil
				}
				return p
			},
		}},
		{"log", d.sectionOf([]field{
			{"format", d.word(&c.Log.Format, "auto", "text", "json")},
			{"level", d.word(&c.Log.Level, "trace", "debug", "info", "warn", "error")},
			{"file", d.pathInto(&c.Log.File)},
			{"max_size", d.size(&c.Log.MaxSize)},
			{"max_age", d.optional(&c.Log.MaxAge)},
			{"keep", d.integer(&c.Log.Keep, 1, config.MaxLogKeep, "")},
			{"compress", d.boolean(&c.Log.Compress)},
		})},
		{"control", d.pathOr(&c.Control, config.ControlOff)},
		{"dashboard", d.short("listen", []field{
			{"listen", d.textInto(&c.Dashboard.Listen)},
			{"token_file", d.pathInto(&c.Dashboard.TokenFile)},
		})},
		{"metrics", d.short("listen", []field{{"listen", d.textInto(&c.Metrics.Listen)}})},
		{"health", d.short("listen", []field{
			{"listen", d.textInto(&c.Health.Listen)},
			{"agent", d.textInto(&c.Health.Agent)},
		})},
		{"stop_delay", d.duration(&c.StopDelay)},
		{"stop_timeout", d.stopTimeout(&c.StopTimeout)},
	}
}

// atTop is the codec of a key that was read before the rest.
func (d *decoder) atTop(s *schema) codec {
	return codec{decode: func(string, ast.Node) {}, schema: s}
}

func (d *decoder) app(path string, a *config.App, n ast.Node) {
	d.section(path, n, d.appFields(a), nil)
	// A base that is longer than the default of max raises max, instead of being a fault.
	if _, set := d.values[config.Join(config.Join(path, "backoff"), "max")]; !set {
		a.Backoff.Max = max(a.Backoff.Max, a.Backoff.Base)
	}
	if a.Watch.Folder {
		a.Watch.Paths, a.Watch.Folder = []string{a.Dir}, false
	}
}

// appFields are the keys of an app.
func (d *decoder) appFields(a *config.App) []field {
	return []field{
		{"command", d.command(&a.Command).when(func() bool { return !a.OwnGateway() })},
		{"dir", d.pathInto(&a.Dir)},
		{"env", d.env(&a.Env)},
		{"env_file", d.list(&a.EnvFiles, d.absolute)},
		{"listen", d.list(&a.Listen, d.absoluteSocket)},
		{"workers", d.integer(&a.Workers, 1, host.MaxWorkers, "auto")},
		{"restart", d.word(&a.Restart, config.RestartOnFailure, config.RestartAlways, config.RestartNever)},
		{"backoff", d.sectionOf([]field{
			{"base", d.duration(&a.Backoff.Base)},
			{"max", d.duration(&a.Backoff.Max)},
			{"jitter", d.share(&a.Backoff.Jitter)},
			{"reset", d.duration(&a.Backoff.Reset)},
		})},
		{"start_limit", d.integer(&a.StartLimit, 0, 1_000_000, "")},
		{"ready_timeout", d.duration(&a.ReadyTimeout)},
		{"drain_delay", d.duration(&a.DrainDelay)},
		{"drain_timeout", d.duration(&a.DrainTimeout)},
		{"kill_after", d.duration(&a.KillAfter)},
		{"rollout", d.word(&a.Rollout, config.RolloutSurge, config.RolloutStopFirst)},
		{"max_surge", d.integer(&a.MaxSurge, 1, host.MaxWorkers, "")},
		{"max_unavailable", d.integer(&a.MaxUnavailable, 0, host.MaxWorkers, "")},
		{"gomaxprocs", d.integer(&a.GOMAXPROCS, 1, 65536, "auto")},
		{"gomemlimit", d.memory(&a.GOMEMLIMIT)},
		{"cpu_affinity", d.word(&a.CPUAffinity, config.CPUAffinityAuto, config.CPUAffinityOff)},
		{"policy", d.word(&a.Policy, config.PolicyLeast, config.PolicyRoundRobin, config.PolicyRandom, config.PolicyHash, config.PolicyClientIP, config.PolicyCPU)},
		{"steering", d.word(&a.Steering, config.SteeringAuto, config.SteeringEBPF, config.SteeringCBPF, config.SteeringHash)},
		{"on_overload", d.word(&a.OnOverload, config.OverloadQueue, config.OverloadRefuse)},
		{"overload_at", d.integer(&a.OverloadAt, 0, config.MaxOverloadAt, "off")},
		{"max_in_flight", d.integer(&a.MaxInFlight, 0, config.MaxMaxInFlight, "off")},
		{"stall_timeout", d.optional(&a.StallTimeout)},
		{"request_timeout", d.optional(&a.RequestTimeout)},
		{"max_requests", d.integer(&a.MaxRequests, 0, config.MaxMaxRequests, "off")},
		{"max_age", d.optional(&a.MaxAge)},
		{"max_rss", d.size(&a.MaxRSS)},
		{"recycle_jitter", d.share(&a.RecycleJitter)},
		{"standby", d.integer(&a.Standby, 0, host.MaxWorkers, "off")},
		{"dump_dir", d.pathInto(&a.DumpDir)},
		{"namespace", d.textInto(&a.Namespace)},
		{"depends_on", d.dependsOn(&a.DependsOn)},
		{"hooks", d.sectionOf([]field{
			{"before_start", d.hook(&a.Hooks.BeforeStart)},
			{"after_ready", d.hook(&a.Hooks.AfterReady)},
			{"before_drain", d.hook(&a.Hooks.BeforeDrain)},
			{"on_crash", d.hook(&a.Hooks.OnCrash)},
		})},
		{"cron_restart", d.textInto(&a.CronRestart)},
		{"watch", d.watch(&a.Watch)},
		{"oneshot", d.boolean(&a.OneShot)},
		{"at_start", d.atStart(&a.NotAtStart)},
		{"gateway", d.gateway(&a.Gateway)},
		{"log", d.short("file", []field{
			{"file", d.pathInto(&a.Log.File)},
			{"max_size", d.size(&a.Log.MaxSize)},
			{"max_age", d.optional(&a.Log.MaxAge)},
			{"keep", d.integer(&a.Log.Keep, 1, config.MaxLogKeep, "")},
			{"compress", d.boolean(&a.Log.Compress)},
			{"on_full", d.word(&a.Log.OnFull, config.OnFullBlock, config.OnFullDrop)},
		})},
	}
}

// command decodes a list of words, or one text that is split as a shell does it.
func (d *decoder) command(to *[]string) codec { return d.commandBy(to, config.SplitWords) }

// commandBy decodes a list of words, or one text of which split makes such a list.
func (d *decoder) commandBy(to *[]string, split func(string) ([]string, error)) codec {
	c := d.list(to, nil)
	asList := c.decode
	c.decode = func(path string, n ast.Node) {
		*to = nil
		if _, isList := d.resolve(path, n).(*ast.SequenceNode); isList {
			asList(path, n)
		} else if s, ok := d.text(path, n); ok {
			words, err := split(s)
			if err != nil {
				d.fail(n, path, "%v", err)
				return
			}
			*to = words
		}
		d.absoluteProgram(n, *to)
	}
	return c
}

// absoluteProgram makes a program with a slash absolute, relative to the folder of the file as every path in it. One without
// is looked up in PATH.
func (d *decoder) absoluteProgram(n ast.Node, command []string) {
	if len(command) > 0 && strings.Contains(command[0], "/") {
		command[0] = d.absolute(n, command[0])
	}
}

// absoluteSocket makes the path of a Unix-domain address absolute.
func (d *decoder) absoluteSocket(n ast.Node, address string) string {
	return config.SocketInFolder(d.folderOf(n), address)
}

// cacheFields are the keys of a cached value.
func (d *decoder) cacheFields(v *config.CacheValue) []field {
	exec := d.commandBy(&v.Exec, func(script string) ([]string, error) {
		if strings.TrimSpace(script) == "" {
			return nil, nil
		}
		return shell(script), nil
	})
	dsn := d.textInto(&v.SQL.DSN).then(func(_ string, n ast.Node) { v.SQL.DSN = config.DSNInFolder(d.folderOf(n), v.SQL.DSN) })
	return []field{
		{"exec", exec},
		{"file", d.pathInto(&v.File)},
		{"sql", d.sectionOf([]field{
			{"driver", d.word(&v.SQL.Driver, "sqlite")},
			{"dsn", dsn},
			{"query", d.textInto(&v.SQL.Query)},
		})},
		{"members", d.list(&v.Members, nil)},
		{"every", d.duration(&v.Every)},
		{"timeout", d.duration(&v.Timeout)},
		{"jitter", d.share(&v.Jitter)},
		{"dir", d.pathInto(&v.Dir)},
		{"env", d.env(&v.Env)},
	}
}

// shell is the command that runs a script.
func shell(script string) []string { return []string{"sh", "-c", script} }
