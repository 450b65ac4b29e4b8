package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/tinehq/tine/supervisor"
)

// maxEcosystem is far above any ecosystem file that a person wrote, in bytes.
const maxEcosystem = 4 << 20

// importPM2 makes a config of the ecosystem file at path. notes say what has no
// counterpart. The keys are those of pm2.keymetrics.io/docs/usage/application-declaration.
func importPM2(path string) (config []byte, notes []string, err error) {
	fail := func(err error) ([]byte, []string, error) {
		return nil, nil, fmt.Errorf("cannot import %s: %w", path, err)
	}
	switch filepath.Ext(path) {
	case ".js", ".cjs", ".mjs", ".ts":
		return fail(fmt.Errorf(`it is a program: make JSON of it first, with node -e 'console.log(JSON.stringify(require(%q)))' > ecosystem.json`, dotted(path)))
	}
	text, err := readEcosystem(path)
	if err != nil {
		return fail(err)
	}
	i := importer{file: filepath.Base(path)}
	if err := i.read(text); err != nil {
		return fail(err)
	}
	i.notes = append(i.notes, "all apps: a worker is ready when it says so, which a Go program does with worker.Start; one that never does is ended after ready_timeout")
	config = i.config()
	if err := loads(config); err != nil {
		i.notes = append(i.notes, "the result is not right yet: "+err.Error())
	}
	return config, i.notes, nil
}

// dotted is a path as require wants it.
func dotted(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return path
	}
	return "./" + path
}

func readEcosystem(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxEcosystem+1))
	if err == nil && len(text) > maxEcosystem {
		err = fmt.Errorf("it has more than %d bytes", maxEcosystem)
	}
	return text, err
}

// loads tells what Load has against a config.
func loads(config []byte) error {
	dir, err := os.MkdirTemp("", "tine-import-")
	if err != nil {
		return nil //nolint:nilerr // where nothing can be written it is not checked
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tine.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return nil
	}
	_, err = supervisor.Load(path)
	var faults *supervisor.ConfigErrors
	if errors.As(err, &faults) {
		for _, one := range faults.Errors {
			one.File = "tine.yaml"
		}
	}
	return err
}

// importer is an import under way.
type importer struct {
	file  string
	apps  []importedApp
	envs  map[string]map[string][]line // by environment and app
	notes []string
}

// importedApp is an app of the result.
type importedApp struct {
	name  string
	lines []line
}

// line is a key of the result; a comment alone has no key.
type line struct{ key, value, comment string }

func (i *importer) note(app, key, format string, args ...any) {
	where := key
	if app != "" {
		where = app + ": " + key
	}
	i.notes = append(i.notes, where+": "+fmt.Sprintf(format, args...))
}

// read takes {"apps": [...]}, {"apps": {...}}, a list of apps, or one app.
func (i *importer) read(text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var document any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			before := text[:min(int(syntax.Offset), len(text))]
			return fmt.Errorf("it is no JSON: line %d: %w", bytes.Count(before, []byte("\n"))+1, err)
		}
		return fmt.Errorf("it is no JSON: %w", err)
	}
	apps := document
	if top, ok := document.(map[string]any); ok {
		if inner, has := top["apps"]; has {
			apps = inner
			for _, key := range slices.Sorted(maps.Keys(top)) {
				if key != "apps" {
					i.note("", key, "no counterpart: Tine replaces workers, it brings no code to machines")
				}
			}
		}
	}
	i.envs = map[string]map[string][]line{}
	switch v := apps.(type) {
	case []any:
		for n, one := range v {
			app, ok := one.(map[string]any)
			if !ok {
				return fmt.Errorf("app %d is no object", n+1)
			}
			i.app(app)
		}
	case map[string]any:
		if _, isOne := v["script"]; isOne {
			i.app(v)
			break
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			app, ok := v[name].(map[string]any)
			if !ok {
				return fmt.Errorf("%s is no app", name)
			}
			if _, named := app["name"]; !named {
				app["name"] = name
			}
			i.app(app)
		}
	default:
		return errors.New("it has no apps")
	}
	if len(i.apps) == 0 {
		return errors.New("it has no apps")
	}
	return nil
}

// source is an app of the ecosystem file, of which what has been read is taken out.
type source struct {
	i    *importer
	name string
	keys map[string]any
	out  []line
}

// take returns the first of some keys that is there.
func (s *source) take(keys ...string) (value any, key string) {
	for _, k := range keys {
		if v, ok := s.keys[k]; ok {
			delete(s.keys, k)
			if value == nil && v != nil {
				value, key = v, k
			}
		}
	}
	return value, key
}

func (s *source) text(keys ...string) (string, bool) {
	v, key := s.take(keys...)
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, v != ""
	case json.Number, bool:
		return fmt.Sprint(v), true
	}
	s.i.note(s.name, key, "is no text and was left out")
	return "", false
}

// milliseconds reads 1600, "1600", or with a unit "10s", "1h".
func (s *source) milliseconds(keys ...string) (time.Duration, bool) {
	text, ok := s.text(keys...)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && n < 1e12 {
		return time.Duration(n * float64(time.Millisecond)), true
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, true
	}
	s.i.note(s.name, keys[0], "%q is no time and was left out", text)
	return 0, false
}

func (s *source) put(key, value, comment string) { s.out = append(s.out, line{key, value, comment}) }

// list reads one text or a list of them.
func (s *source) list(keys ...string) []string {
	v, key := s.take(keys...)
	switch v := v.(type) {
	case nil:
	case []any:
		var all []string
		for _, one := range v {
			switch one := one.(type) {
			case string, json.Number, bool:
				all = append(all, fmt.Sprint(one))
			default:
				s.i.note(s.name, key, "has something that is no text; it was left out")
			}
		}
		return all
	case string:
		return []string{v}
	default:
		s.i.note(s.name, key, "is no list and was left out")
	}
	return nil
}

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
	cwd, _ := s.text("cwd", "exec_cwd")
	if !hasScript {
		i.note(s.name, "script", "is missing: write command")
	}
	s.command(script, cwd)
	if cwd != "" {
		s.put("dir", quote(cwd), "")
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

func (s *source) command(script, cwd string) {
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
		if cwd != "" && strings.Contains(script, "/") && !filepath.IsAbs(script) {
			program = "./" + filepath.Join(cwd, script)
			if filepath.IsAbs(cwd) {
				program = filepath.Join(cwd, script)
			}
		}
		command = append([]string{program}, args...)
	default:
		command = slices.Concat([]string{interpreter}, options, []string{script}, args)
	}
	s.put("command", quoteList(command), "")
}

// words reads a list, or one text that is split at blanks outside of quotes.
func (s *source) words(keys ...string) []string {
	v, key := s.take(keys...)
	if text, ok := v.(string); ok {
		var out []string
		for _, m := range wordPattern.FindAllString(text, -1) {
			out = append(out, strings.NewReplacer(`"`, "", `'`, "").Replace(m))
		}
		return out
	}
	if v == nil {
		return nil
	}
	s.keys[key] = v
	return s.list(key)
}

var wordPattern = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)

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
			s.i.note(s.name, key+"."+name, "is no name for a variable here and was left out")
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
	case err == nil && n <= supervisor.MaxWorkers:
		s.put("workers", strconv.Itoa(n), "")
	default:
		s.i.note(s.name, "instances", "%q is no number of workers and was left out", text)
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
			s.i.note(s.name, "max_restarts", "%q is no count and was left out", text)
		}
	}
	if text, ok := s.text("max_memory_restart"); ok {
		if size, ok := pm2Size(text); ok {
			s.put("max_rss", size, "")
		} else {
			s.i.note(s.name, "max_memory_restart", "%q is no size and was left out", text)
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

// pm2Size reads 300M, 1G, 1.5G or bytes.
func pm2Size(text string) (string, bool) {
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
	switch {
	case n%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", n>>30), true
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20), true
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10), true
	}
	return strconv.FormatInt(n, 10), true
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
			paths = []string{"."}
			if d, ok := s.dir(); ok {
				paths = []string{d}
			}
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
			s.i.note(s.name, "ignore_watch", "%q is no pattern here and was left out", p)
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

func (s *source) dir() (string, bool) {
	for _, l := range s.out {
		if l.key == "dir" {
			text, err := strconv.Unquote(l.value)
			if err != nil {
				text = l.value
			}
			return text, true
		}
	}
	return "", false
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

// appName makes a name of the app that no other has.
func (i *importer) appName(name string) string {
	clean := cleanName(name)
	unique := clean
	for n := 2; slices.ContainsFunc(i.apps, func(a importedApp) bool { return a.name == unique }); n++ {
		unique = fmt.Sprintf("%s-%d", clean[:min(len(clean), 55)], n)
	}
	return unique
}

func cleanName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, name)
	if clean = strings.TrimLeft(clean, "._-"); clean == "" {
		return "app"
	}
	return clean[:min(len(clean), 63)]
}

// config writes the result.
func (i *importer) config() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made of %s by tine config import pm2. Check it with tine config check.\n", printable(i.file))
	b.WriteString("apps:\n")
	for _, a := range i.apps {
		fmt.Fprintf(&b, "  %s:\n", quote(a.name))
		writeLines(&b, "    ", a.lines)
	}
	if len(i.envs) > 0 {
		b.WriteString("# tine start --env NAME merges one of these over the rest.\nenvironments:\n")
	}
	for _, env := range slices.Sorted(maps.Keys(i.envs)) {
		fmt.Fprintf(&b, "  %s:\n    apps:\n", quote(env))
		for _, app := range slices.Sorted(maps.Keys(i.envs[env])) {
			fmt.Fprintf(&b, "      %s:\n", quote(app))
			writeLines(&b, "        ", i.envs[env][app])
		}
	}
	return b.Bytes()
}

func writeLines(b *bytes.Buffer, indent string, lines []line) {
	for _, l := range lines {
		text := strings.TrimRight(l.key+": "+l.value, " ")
		switch {
		case l.key == "":
			text = "# " + l.comment
		case l.comment != "":
			text += "   # " + l.comment
		}
		fmt.Fprintf(b, "%s%s\n", indent, text)
	}
}

// printable is text for a comment, in one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// wordLike is text that YAML reads as itself.
var wordLike = regexp.MustCompile(`^(\./|\.\./|/|--?[A-Za-z]|[A-Za-z_])[A-Za-z0-9_./@%+=-]*$`)

// quote writes text so that a config file means just that by it.
func quote(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(text)
	}
	if wordLike.MatchString(text) {
		return text
	}
	return strconv.Quote(strings.NewReplacer("$$", "$$$$", "${", "$${").Replace(strings.ToValidUTF8(text, "?")))
}

func quoteList(all []string) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = quote(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}
