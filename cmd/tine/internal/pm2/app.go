package pm2

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/host"
)

// interpreters by the ending of a script, as PM2 has them.
var interpreters = map[string]string{".js": "node", ".cjs": "node", ".mjs": "node", ".ts": "node", ".py": "python3", ".sh": "bash", ".rb": "ruby", ".php": "php", ".pl": "perl"}

// noCounterpart says of keys why nothing was made of them; "" where nothing is lost.
var noCounterpart = map[string]string{
	"wait_ready": "", "merge_logs": "", "combine_logs": "", "pmx": "", "automation": "", "vizion": "", "force": "", "windowsHide": "", "min_uptime": "",
	"log_date_format":            "lines have their time in the master's log, as RFC 3339",
	"time":                       "lines have their time in the master's log",
	"log_type":                   "write log: {format: json} at the top for all apps",
	"source_map_support":         "write node's --enable-source-maps into command",
	"disable_source_map_support": "",
	"shutdown_with_message":      "workers are told over their channel, or by SIGTERM",
	"treekill":                   "signals go to the process group",
	"uid":                        "start Tine as that user, or put setpriv or su-exec before command",
	"user":                       "start Tine as that user, or put setpriv or su-exec before command",
	"gid":                        "start Tine as that group, or put setpriv before command",
	"instance_var":               "workers have TINE_SLOT and NODE_APP_INSTANCE",
	"increment_var":              "workers have TINE_SLOT and NODE_APP_INSTANCE",
	"filter_env":                 "write what workers get into env",
	"post_update":                "hooks.before_start runs before each rollout",
	"watch_options":              "how files are watched is not to be set",
	"append_env_to_name":         "name the app in the environments below",
	"kill_retry_time":            "",
	"pid_file":                   "tine status has the PIDs",
	"pid":                        "tine status has the PIDs",
	"cron":                       "",
	"stop_exit_codes":            "",
}

func (i *importer) app(keys map[string]any) {
	s := &source{i: i, keys: keys}
	script, hasScript := s.text("script", "path")
	name, ok := s.text("name")
	if !ok {
		name = strings.TrimSuffix(filepath.Base(script), filepath.Ext(script))
	}
	s.name = i.appName(name)
	if s.name != name {
		i.note(s.name, "name", "was %q: names have a-z 0-9 . _ - only, and are there once", name)
	}
	s.cwd, _ = s.text("cwd", "exec_cwd")
	if !hasScript {
		i.note(s.name, "script", "is missing: write command")
	}
	s.command(script)
	if s.cwd != "" {
		s.put("dir", quote(s.cwd), "")
	}
	s.variables()
	s.workers()
	s.restarts()
	s.stopping()
	s.files()
	if space, ok := s.text("namespace"); ok && space != "default" {
		s.put("namespace", quote(cleanName(space)), "")
	}
	s.rest()
	i.apps = append(i.apps, importedApp{s.name, s.out})
}

func (s *source) command(script string) {
	interpreter, set := s.text("interpreter", "exec_interpreter")
	options := s.words("interpreter_args", "node_args", "interpreterArgs")
	args := s.words("args")
	if !set {
		interpreter = interpreters[filepath.Ext(script)]
	}
	command := args
	switch {
	case script == "":
	case interpreter == "" || interpreter == "none" || interpreter == "binary":
		program := script
		if s.cwd != "" && strings.Contains(script, "/") && !filepath.IsAbs(script) {
			program = "./" + filepath.Join(s.cwd, script)
			if filepath.IsAbs(s.cwd) {
				program = filepath.Join(s.cwd, script)
			}
		}
		command = append([]string{program}, args...)
	default:
		command = slices.Concat([]string{interpreter}, options, []string{script}, args)
	}
	s.put("command", quoteList(command), "")
}

func (s *source) variables() {
	port, hasPort := s.text("port")
	env := map[string]any{}
	v, _ := s.take("env")
	if m, ok := v.(map[string]any); ok {
		env = m
	}
	if hasPort {
		if _, set := env["PORT"]; !set {
			env["PORT"] = port
		}
	}
	if p, ok := env["PORT"]; ok && !hasPort {
		port = fmt.Sprint(p)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err == nil {
		if hasPort {
			s.put("listen", "["+quote(":"+port)+"]", "Tine opens it, and workers take it over")
		} else {
			s.put("", "", "listen: ["+quote(":"+port)+"]   # if the program takes its socket from Tine: PORT is in env")
		}
	}
	if len(env) > 0 {
		s.out = append(s.out, s.env("env", env)...)
	}
	if files := s.list("env_file"); len(files) > 0 {
		s.put("env_file", quoteList(files), "")
	}
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		env, ok := strings.CutPrefix(key, "env_")
		m, isMap := s.keys[key].(map[string]any)
		if !ok || !isMap || env == "" {
			continue
		}
		delete(s.keys, key)
		if s.i.envs[env] == nil {
			s.i.envs[env] = map[string][]line{}
		}
		s.i.envs[env][s.name] = s.env(key, m)
	}
}

// env are the lines of a section of variables.
func (s *source) env(key string, m map[string]any) []line {
	lines := []line{{key: "env"}}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name == "" || strings.ContainsAny(name, "= \t\x00") || strings.HasPrefix(name, "TINE_") {
			s.i.note(s.name, key+"."+name, "is not a name for a variable here and was left out")
			continue
		}
		var value string
		switch v := m[name].(type) {
		case nil:
		case string, json.Number, bool:
			value = fmt.Sprint(v)
		default:
			text, _ := json.Marshal(v)
			value = string(text)
		}
		lines = append(lines, line{"  " + quote(name), quote(value), ""})
	}
	return lines
}

func (s *source) workers() {
	mode, _ := s.text("exec_mode")
	text, set := s.text("instances")
	n, err := strconv.Atoi(text)
	switch {
	case !set || text == "":
		s.put("workers", "1", "PM2's default; auto is one per CPU")
	case text == "max" || err == nil && n == 0:
		s.put("workers", "auto", "")
	case err == nil && n < 0:
		s.put("workers", "auto", "was "+text+": all CPUs but so many")
		s.i.note(s.name, "instances", "%s (all CPUs but so many) has no counterpart: it is auto, which is one per CPU", text)
	case err == nil && n <= host.MaxWorkers:
		s.put("workers", strconv.Itoa(n), "")
	default:
		s.i.note(s.name, "instances", "%q is not a number of workers and was left out", text)
	}
	switch mode {
	case "", "fork", "fork_mode", "cluster", "cluster_mode":
	default:
		s.i.note(s.name, "exec_mode", "%q is not known and was left out", mode)
	}
}

func (s *source) restarts() {
	again, hasAgain := s.take("autorestart")
	codes := s.list("stop_exit_codes", "stop_exit_code")
	switch {
	case hasAgain != "" && again == false:
		s.put("restart", "never", "")
	case slices.Contains(codes, "0"):
		s.put("restart", "on-failure", "")
	default:
		s.put("restart", "always", "PM2's default; on-failure takes exit 0 as finished")
	}
	if slices.ContainsFunc(codes, func(c string) bool { return c != "0" }) {
		s.i.note(s.name, "stop_exit_codes", "no counterpart: only 0 can mean that a worker has finished")
	}
	var backoff []string
	base, hasBase := s.milliseconds("exp_backoff_restart_delay")
	fixed, hasFixed := s.milliseconds("restart_delay")
	reset, hasReset := s.milliseconds("min_uptime")
	switch {
	case hasBase && base > 0:
		backoff = append(backoff, "base: "+base.String())
	case hasFixed && fixed > 0:
		backoff = append(backoff, "base: "+fixed.String(), "max: "+fixed.String(), "jitter: 0")
	}
	if hasReset && reset > 0 {
		backoff = append(backoff, "reset: "+reset.String())
	}
	if len(backoff) > 0 {
		s.put("backoff", "{"+strings.Join(backoff, ", ")+"}", "")
	}
	if text, ok := s.text("max_restarts"); ok {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 && n <= 1_000_000 {
			s.put("start_limit", strconv.Itoa(n), "only until the app was ready once: later failures back off and go on")
		} else {
			s.i.note(s.name, "max_restarts", "%q is not a count and was left out", text)
		}
	}
	if text, ok := s.text("max_memory_restart"); ok {
		if size, ok := size(text); ok {
			s.put("max_rss", size, "")
		} else {
			s.i.note(s.name, "max_memory_restart", "%q is not a size and was left out", text)
		}
	}
	if text, ok := s.text("cron_restart", "cron"); ok && text != "0" {
		fields := strings.Fields(text)
		if len(fields) == 6 {
			s.i.note(s.name, "cron_restart", "%q begins with seconds, which are left out", text)
			fields = fields[1:]
		}
		s.put("cron_restart", quote(strings.Join(fields, " ")), "")
	}
}

// size reads 300M, 1G, 1.5G or bytes.
func size(text string) (string, bool) {
	number, unit := strings.TrimSpace(text), float64(1)
	for suffix, size := range map[string]float64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if n, ok := strings.CutSuffix(strings.TrimSuffix(strings.ToUpper(number), "B"), suffix); ok {
			number, unit = n, size
			break
		}
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(value > 0) || value*unit > 1<<50 {
		return "", false
	}
	n := int64(value * unit)
	if n%1024 != 0 {
		return strconv.FormatInt(n, 10), true
	}
	return file.FormatSize(n), true
}

func (s *source) stopping() {
	if d, ok := s.milliseconds("listen_timeout"); ok && d > 0 {
		s.put("ready_timeout", d.String(), "")
	}
	if d, ok := s.milliseconds("kill_timeout"); ok {
		s.put("drain_timeout", d.String(), "then SIGTERM, and SIGKILL after kill_after")
	}
}

// files are those that are written to, and those that are watched.
func (s *source) files() {
	out, hasOut := s.text("log_file", "log", "out_file", "output", "out")
	errFile, hasErr := s.text("error_file", "error", "err_file", "err")
	if !hasOut {
		out, hasOut = errFile, hasErr
	} else if hasErr && errFile != out {
		s.i.note(s.name, "error_file", "no counterpart: both outputs go to %s, and tine logs tells them apart", out)
	}
	switch {
	case !hasOut:
	case out == "/dev/null" || strings.EqualFold(out, "null"):
		s.i.note(s.name, "out_file", "no counterpart for no log at all: it goes to the master's")
	default:
		s.put("log", quote(out), "")
	}

	ignore := s.list("ignore_watch")
	delay, hasDelay := s.milliseconds("watch_delay")
	watch, _ := s.take("watch")
	var paths []string
	switch v := watch.(type) {
	case bool:
		if v {
			paths = []string{cmp.Or(s.cwd, ".")}
		}
	case string:
		paths = []string{v}
	case []any:
		s.keys["watch"] = v
		paths = s.list("watch")
	}
	if len(paths) == 0 {
		return
	}
	text := "paths: " + quoteList(paths)
	kept := slices.DeleteFunc(ignore, func(p string) bool {
		_, err := filepath.Match(p, "x")
		if err != nil || strings.Contains(p, "**") || p == "" {
			s.i.note(s.name, "ignore_watch", "%q is not a pattern here and was left out", p)
			return true
		}
		return false
	})
	if len(kept) > 0 {
		text += ", ignore: " + quoteList(kept)
	}
	if hasDelay && delay > 0 {
		text += ", debounce: " + delay.String()
	}
	s.put("watch", "{"+text+"}", "for development: leave it out of production")
}

// rest tells of what is left.
func (s *source) rest() {
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		v := s.keys[key]
		why, known := noCounterpart[key]
		switch {
		case v == nil || v == false || known && why == "":
		case known:
			s.i.note(s.name, key, "no counterpart: %s", why)
		default:
			s.i.note(s.name, key, "no counterpart")
		}
	}
}
