package pm2

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
