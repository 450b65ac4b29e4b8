package file

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
)

// schema is a JSON Schema, with the keywords that a config needs.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"` // a name or several
	Enum        []string           `json:"enum,omitempty"`
	Const       any                `json:"const,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	AllOf       []*schema          `json:"allOf,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Patterns    map[string]*schema `json:"patternProperties,omitempty"`
	Names       *schema            `json:"propertyNames,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // *schema or false
	Required    []string           `json:"required,omitempty"`
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

// Schema returns the JSON Schema (draft 2020-12) of a config file, for editors. It is made of the tables that [Load]
// decodes with. A fault between several keys, such as an address that is used twice, is found by [Load] only.
func Schema() []byte {
	d := newDecoder(loader{})
	top := d.configFields(&config.Config{})
	app, value := sectionSchema(d.appFields(&config.App{})), sectionSchema(d.cacheFields(&config.CacheValue{}))
	describeAll(app, "apps.*")
	describeAll(value, "cache.*")

	root := sectionSchema(top)
	describeAll(root, "")
	environment := nullable(root)
	for _, key := range []string{"include", "env_file", "environments"} {
		delete(environment.Properties, key)
	}
	environment.Properties["apps"] = mapSchema(orNull(&schema{Ref: "#/$defs/appChange"}))
	environment.Properties["cache"] = mapSchema(orNull(&schema{Ref: "#/$defs/valueChange"}))

	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "Tine configuration"
	root.Patterns = map[string]*schema{"^x-": {Description: "Anything, for YAML aliases to use."}}
	root.Properties["apps"].Names = &schema{Pattern: config.AppNamePattern.String()}
	root.Properties["apps"].Additional = &schema{
		AllOf: []*schema{{Ref: "#/$defs/app"}, {AnyOf: []*schema{{Required: []string{"command"}}, {Required: []string{"gateway"}}}}},
	}
	root.Defs = map[string]*schema{
		"app":         app,
		"value":       value,
		"appChange":   nullable(app),
		"valueChange": nullable(value),
		"environment": environment,
		"variable":    {Type: "string", Pattern: `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`, Description: "What comes of variables."},
		"duration": {Description: "A duration such as 30s, 1m30s or 500ms.", AnyOf: []*schema{
			{Type: "string", Pattern: `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`},
			{Const: 0}, {Const: "0"}, variableSchema(),
		}},
		"size": {Description: "A number of bytes such as 1048576, 512KiB, 256MiB, 2GiB or 1TiB.", AnyOf: []*schema{
			{Type: "integer", Minimum: new(float64(0))}, {Type: "string", Pattern: `^[0-9]+ *([KMGT]i)?B?$`}, variableSchema(),
		}},
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("supervisor: a schema that is not JSON: " + err.Error()) // only strings and numbers are in it
	}
	return append(text, '\n')
}

// textSchema is any scalar: a key for text takes each as it is written.
func textSchema() *schema { return &schema{Type: []string{"string", "number", "boolean"}} }

// variableSchema is a value that a variable decides.
func variableSchema() *schema { return &schema{Ref: "#/$defs/variable"} }

func enumSchema(words ...string) *schema {
	return anyOf(&schema{Enum: words}, variableSchema())
}

func integerSchema(least, most int) *schema {
	return &schema{Type: "integer", Minimum: new(float64(least)), Maximum: new(float64(most))}
}

func listSchema(of *schema) *schema { return &schema{Type: "array", Items: of} }
func mapSchema(of *schema) *schema  { return &schema{Type: "object", Additional: of} }

// anyOf accepts what one of some schemas accepts. Alternatives of those are put on one level.
func anyOf(of ...*schema) *schema {
	var all []*schema
	for _, s := range of {
		if len(s.AnyOf) > 0 && s.Description == "" {
			all = append(all, s.AnyOf...)
		} else {
			all = append(all, s)
		}
	}
	return &schema{AnyOf: all}
}

func orNull(s *schema) *schema { return anyOf(s, &schema{Type: "null"}) }

func sectionSchema(fields []field) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
	for _, f := range fields {
		s.Properties[f.key] = f.schema
	}
	return s
}

// nullable returns a copy that also accepts keys without a value, with which an environment removes keys.
func nullable(s *schema) *schema {
	out := *s
	out.Properties = maps.Clone(s.Properties)
	for key, p := range out.Properties {
		described := orNull(nullable(p))
		described.Description = p.Description
		out.Properties[key] = described
	}
	out.AnyOf = slices.Clone(s.AnyOf)
	for i, one := range out.AnyOf {
		out.AnyOf[i] = nullable(one)
	}
	return &out
}

// describeAll gives each key of a section the description of its path, and those of the sections in it.
func describeAll(s *schema, path string) {
	for key, p := range s.Properties {
		at := key
		if path != "" {
			at = path + "." + key
		}
		p.Description = keyDescriptions[at]
		describeAll(p, at)
		for _, one := range p.AnyOf {
			describeAll(one, at)
			// The keys of each member of a section whose names a file chooses.
			if of, ok := one.Additional.(*schema); ok {
				for _, member := range append(of.AnyOf, of) {
					describeAll(member, at)
				}
			}
		}
	}
}
