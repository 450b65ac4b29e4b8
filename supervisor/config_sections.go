package supervisor

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// config decodes the whole file. What each key means is said at the fields of Config.
func (d *decoder) config(root ast.Node) *Config {
	c := &Config{}
	d.section("", root, []field{
		{"name", d.textInto(&c.Name)},
		{"apps", func(path string, n ast.Node) {
			for _, e := range d.entries(path, n) {
				at := join(path, e.key)
				d.values[at] = e.at
				c.Apps = append(c.Apps, d.app(at, e.key, e.value))
			}
		}},
		{"cache", func(path string, n ast.Node) {
			for _, e := range d.entries(path, n) {
				at := join(path, e.key)
				d.values[at] = e.at
				c.Cache = append(c.Cache, d.cacheValue(at, e.key, e.value))
			}
		}},
		{"log", func(path string, n ast.Node) {
			d.section(path, n, []field{
				{"format", d.textInto(&c.Log.Format)},
				{"level", d.textInto(&c.Log.Level)},
				{"file", d.pathInto(&c.Log.File)},
				{"max_size", d.size(&c.Log.MaxSize)},
				{"max_age", d.optional(&c.Log.MaxAge)},
				{"keep", d.integer(&c.Log.Keep, 1, maxLogKeep, "")},
				{"compress", d.boolean(&c.Log.Compress)},
			}, nil)
		}},
		{"control", d.pathOr(&c.Control, ControlOff)},
		{"dashboard", d.short("listen", []field{
			{"listen", d.textInto(&c.Dashboard.Listen)},
			{"token_file", d.pathInto(&c.Dashboard.TokenFile)},
		})},
		{"metrics", d.short("listen", []field{{"listen", d.textInto(&c.Metrics.Listen)}})},
	}, func(key string) bool {
		// x-... keys hold anchors for merge keys to use.
		return strings.HasPrefix(key, "x-")
	})
	return c
}

func (d *decoder) app(path, name string, n ast.Node) App {
	a := NewApp(name)
	a.Dir = d.dir
	d.section(path, n, []field{
		{"command", func(path string, n ast.Node) { d.command(path, n, &a.Command) }},
		{"dir", d.pathInto(&a.Dir)},
		{"env", d.env(&a.Env)},
		{"env_file", d.list(&a.EnvFiles, d.absolute)},
		{"listen", d.list(&a.Listen, d.absoluteSocket)},
		{"workers", d.integer(&a.Workers, 1, MaxWorkers, "auto")},
		{"restart", d.textInto(&a.Restart)},
		{"backoff", func(path string, n ast.Node) {
			d.section(path, n, []field{
				{"base", d.duration(&a.Backoff.Base)},
				{"max", d.duration(&a.Backoff.Max)},
				{"jitter", d.share(&a.Backoff.Jitter)},
				{"reset", d.duration(&a.Backoff.Reset)},
			}, nil)
			// A longer first wait than the default's longest one is a wish, not a contradiction.
			if _, set := d.values[join(path, "max")]; !set {
				a.Backoff.Max = max(a.Backoff.Max, a.Backoff.Base)
			}
		}},
		{"start_limit", d.integer(&a.StartLimit, 0, 1_000_000, "")},
		{"ready_timeout", d.duration(&a.ReadyTimeout)},
		{"drain_delay", d.duration(&a.DrainDelay)},
		{"drain_timeout", d.duration(&a.DrainTimeout)},
		{"kill_after", d.duration(&a.KillAfter)},
		{"rollout", d.textInto(&a.Rollout)},
		{"max_surge", d.integer(&a.MaxSurge, 1, MaxWorkers, "")},
		{"max_unavailable", d.integer(&a.MaxUnavailable, 0, MaxWorkers, "")},
		{"gomaxprocs", d.integer(&a.GOMAXPROCS, 1, 65536, "auto")},
		{"gomemlimit", d.bytes(&a.GOMEMLIMIT)},
		{"cpu_affinity", d.textInto(&a.CPUAffinity)},
		{"policy", d.textInto(&a.Policy)},
		{"steering", d.textInto(&a.Steering)},
		{"on_overload", d.textInto(&a.OnOverload)},
		{"overload_at", d.integer(&a.OverloadAt, 0, maxOverloadAt, "off")},
		{"stall_timeout", d.optional(&a.StallTimeout)},
		{"request_timeout", d.optional(&a.RequestTimeout)},
		{"max_requests", d.integer(&a.MaxRequests, 0, maxMaxRequests, "off")},
		{"max_age", d.optional(&a.MaxAge)},
		{"max_rss", d.size(&a.MaxRSS)},
		{"recycle_jitter", d.share(&a.RecycleJitter)},
		{"standby", d.integer(&a.Standby, 0, MaxWorkers, "off")},
		{"dump_dir", d.pathInto(&a.DumpDir)},
		{"namespace", d.textInto(&a.Namespace)},
		{"depends_on", d.dependsOn(&a.DependsOn)},
		{"hooks", func(path string, n ast.Node) {
			d.section(path, n, []field{
				{"before_start", d.hook(&a.Hooks.BeforeStart)},
				{"after_ready", d.hook(&a.Hooks.AfterReady)},
				{"before_drain", d.hook(&a.Hooks.BeforeDrain)},
				{"on_crash", d.hook(&a.Hooks.OnCrash)},
			}, nil)
		}},
		{"cron_restart", d.textInto(&a.CronRestart)},
		{"watch", d.watch(&a)},
		{"oneshot", d.boolean(&a.OneShot)},
		{"log", d.short("file", []field{
			{"file", d.pathInto(&a.Log.File)},
			{"max_size", d.size(&a.Log.MaxSize)},
			{"max_age", d.optional(&a.Log.MaxAge)},
			{"keep", d.integer(&a.Log.Keep, 1, maxLogKeep, "")},
			{"compress", d.boolean(&a.Log.Compress)},
			{"on_full", d.textInto(&a.Log.OnFull)},
		})},
	}, nil)
	if a.Watch.folder {
		a.Watch.Paths, a.Watch.folder = []string{a.Dir}, false
	}
	return a
}

// command decodes a list of words, or one text that is split like a shell does it.
func (d *decoder) command(path string, n ast.Node, to *[]string) {
	if _, isList := d.resolve(path, n).(*ast.SequenceNode); isList {
		d.list(to, nil)(path, n)
	} else if s, ok := d.text(path, n); ok {
		words, err := splitWords(s)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		*to = words
	}
	// A program without a slash is looked up in PATH; one with a slash belongs to the file, like every path in it.
	if len(*to) > 0 && strings.Contains((*to)[0], "/") {
		(*to)[0] = d.absolute((*to)[0])
	}
}

// absoluteSocket makes the path of a Unix-domain address absolute.
func (d *decoder) absoluteSocket(address string) string {
	path, ok := strings.CutPrefix(address, "unix:")
	if path = strings.TrimPrefix(path, "//"); !ok || path == "" || path[0] == '/' || path[0] == '@' {
		return address
	}
	return "unix:" + d.absolute(path)
}

func (d *decoder) cacheValue(path, key string, n ast.Node) CacheValue {
	v := CacheValue{Key: key, Dir: d.dir}
	v.fill()
	d.section(path, n, []field{
		{"exec", func(path string, n ast.Node) {
			if _, isList := d.resolve(path, n).(*ast.SequenceNode); isList {
				d.list(&v.Exec, nil)(path, n)
				if len(v.Exec) > 0 && strings.Contains(v.Exec[0], "/") {
					v.Exec[0] = d.absolute(v.Exec[0])
				}
			} else if s, ok := d.text(path, n); ok && strings.TrimSpace(s) != "" {
				v.Exec = shell(s)
			}
		}},
		{"file", d.pathInto(&v.File)},
		{"sql", func(path string, n ast.Node) {
			d.section(path, n, []field{
				{"driver", d.textInto(&v.SQL.Driver)},
				{"dsn", d.textInto(&v.SQL.DSN)},
				{"query", d.textInto(&v.SQL.Query)},
			}, nil)
			if v.SQL.Driver == "" || v.SQL.Driver == "sqlite" {
				v.SQL.DSN = d.absoluteDSN(v.SQL.DSN)
			}
		}},
		{"every", d.duration(&v.Every)},
		{"timeout", d.duration(&v.Timeout)},
		{"jitter", d.share(&v.Jitter)},
		{"dir", d.pathInto(&v.Dir)},
		{"env", d.env(&v.Env)},
	}, nil)
	return v
}

// absoluteDSN makes the file in a SQLite data source name absolute.
func (d *decoder) absoluteDSN(dsn string) string {
	if dsn == "" || strings.Contains(dsn, ":memory:") {
		return dsn
	}
	if path, ok := strings.CutPrefix(dsn, "file:"); ok {
		if path == "" || strings.HasPrefix(path, "/") {
			return dsn
		}
		file, query, has := strings.Cut(path, "?")
		if file = "file:" + d.absolute(file); has {
			file += "?" + query
		}
		return file
	}
	return d.absolute(dsn)
}

// shell is the command that runs a script.
func shell(script string) []string { return []string{"sh", "-c", script} }
