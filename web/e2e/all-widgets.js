/** Widgets that together have all components and most of their properties. */

const PICTURE = `data:image/svg+xml;utf8,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" width="600" height="300"><rect width="600" height="300" fill="#7aa2ff"/></svg>')}`;
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const COLORS = ["primary", "secondary", "info", "discovery", "success", "caution", "warning", "danger"];

const text = (value, rest = {}) => ({ type: "Text", value, ...rest });
const field = (label, name, control) => ({ type: "Col", gap: 1, children: [{ type: "Label", value: label, fieldName: name }, { name, ...control }] });
const row = (children, rest = {}) => ({ type: "Row", gap: 2, wrap: "wrap", children, ...rest });
const cells = (values, header = false) => ({
  type: "Table.Row",
  header,
  children: values.map((value, index) => ({ type: "Table.Cell", align: index ? "end" : "start", children: [text(value)] })),
});

export const weather = {
  type: "Card",
  size: "sm",
  theme: "dark",
  children: [
    {
      type: "Row",
      align: "start",
      children: [{ type: "Col", children: [{ type: "Caption", value: "Lisbon" }, { type: "Title", value: "17 °C", size: "3xl" }, text("Sunny")] }, { type: "Spacer" }, { type: "Icon", name: "lucide:sun", size: "3xl" }],
    },
    { type: "Divider", flush: true, spacing: 2 },
    { type: "Row", justify: "between", children: DAYS.slice(0, 5).map((day, index) => ({ type: "Col", align: "center", gap: 1, children: [{ type: "Caption", value: day }, text(`${14 + index}°`, { size: "sm" })] })) },
  ],
};

export const texts = {
  type: "Card",
  size: "lg",
  status: { text: "Checked", icon: "check-circle" },
  children: [
    { type: "Title", value: "A title", size: "xl" },
    { type: "Caption", value: "A caption", size: "lg" },
    text("Text that is long enough to be cut after two lines. ".repeat(6), { maxLines: 2 }),
    text("Text that is cut at the end of its line. ".repeat(6), { truncate: true, weight: "semibold" }),
    text("Italic and struck through", { italic: true, lineThrough: true, color: "danger", size: "sm", textAlign: "end" }),
    { type: "Markdown", value: "**Markdown** with a [link](https://example.com)" },
    row(["secondary", "success", "danger", "warning", "info", "discovery"].flatMap((color) => ["soft", "solid", "outline"].map((variant) => ({ type: "Badge", label: color, color, variant })))),
    { type: "Transition", children: text("In a transition") },
    { type: "Hologram", label: "Of a later version", children: [text("and its child")] },
  ],
};

export const buttons = {
  type: "Card",
  size: "full",
  children: [
    ...["solid", "soft", "outline", "ghost"].map((variant) => row(COLORS.map((color) => ({ type: "Button", label: `${color} ${variant}`, color, variant, size: "sm" })))),
    row(["3xs", "sm", "md", "3xl"].map((size) => ({ type: "Button", label: `Size ${size}`, size, iconStart: "star", style: "primary" }))),
    row([{ type: "Button", iconStart: "plus", uniform: true }, { type: "Button", label: "Square", pill: false, iconEnd: "external-link" }, { type: "Button", label: "Disabled", disabled: true }]),
    { type: "Button", label: "Block", block: true, style: "primary" },
  ],
};

export const form = {
  type: "Card",
  asForm: true,
  confirm: { label: "Save", action: { type: "echo", payload: { id: 1, contact: { kind: "guest" } } } },
  cancel: { label: "Discard", action: { type: "discard", handler: "client" } },
  children: [
    { type: "Title", value: "Book a table" },
    field("Name", "name", { type: "Input", placeholder: "Ada Lovelace", required: true }),
    row([field("Email", "contact.email", { type: "Input", inputType: "email", variant: "soft" }), field("Guests", "guests", { type: "Input", inputType: "number", defaultValue: "2" })], { align: "start" }),
    row([
      field("Day", "day", { type: "DatePicker", defaultValue: "2026-12-24", min: "2026-01-01", clearable: true }),
      field("Room", "room", { type: "Select", placeholder: "Any room", clearable: true, defaultValue: "b", options: [{ value: "a", label: "Garden" }, { value: "b", label: "Hall", description: "20 seats" }] }),
    ]),
    field("Time", "time", { type: "RadioGroup", direction: "row", required: true, options: [{ value: "l", label: "Lunch" }, { value: "d", label: "Dinner" }, { value: "b", label: "Breakfast", disabled: true }] }),
    { type: "Checkbox", name: "terms", label: "I accept the terms", required: true },
    field("Code", "code", { type: "Textarea", rows: 1, autoResize: true, pattern: "[A-Z]{3}" }),
    text("Window", { editable: { name: "seat", placeholder: "A seat" } }),
  ],
};

export const list = {
  type: "ListView",
  limit: 3,
  status: { text: "Five flights", icon: "compass" },
  children: [1, 2, 3, 4, 5].map((number) => ({
    type: "ListViewItem",
    key: `flight ${number}`,
    onClickAction: { type: "fly", handler: "client", payload: { number } },
    children: [
      { type: "Box", size: 40, radius: "full", background: "blue-100", align: "center", justify: "center", children: [{ type: "Icon", name: "lucide:plane", color: "blue-700" }] },
      { type: "Col", flex: 1, children: [text(`Flight ${number}00`, { weight: "medium", truncate: true }), { type: "Caption", value: "Lisbon to Oslo" }] },
      { type: "Badge", label: number % 2 ? "On time" : "Late", color: number % 2 ? "success" : "warning" },
    ],
  })),
};

export const chart = {
  type: "Card",
  size: "lg",
  children: [
    { type: "Title", value: "Visitors", size: "sm" },
    {
      type: "Chart",
      xAxis: { dataKey: "day", labels: { Mon: "Monday" } },
      showYAxis: true,
      data: DAYS.map((day, index) => ({ day, web: 120 + 10 * index, app: 80, goal: 210 - index })),
      series: [
        { type: "bar", dataKey: "web", label: "Web", stack: "visits" },
        { type: "bar", dataKey: "app", label: "App", stack: "visits", color: "orange" },
        { type: "line", dataKey: "goal", label: "Goal", curveType: "monotone" },
      ],
    },
    { type: "Chart", height: 140, xAxis: "day", data: DAYS.map((day, index) => ({ day, a: index - 2 })), series: [{ type: "area", dataKey: "a", label: "A", curveType: "step", color: { light: "red-500", dark: "#f99" } }] },
  ],
};

export const table = {
  type: "Card",
  size: "lg",
  children: [{ type: "Table", children: [cells(["Item", "Price"], true), cells(["Coffee", "€ 7.00"]), cells(["A cake with a very long name and cherries on top", "€ 4.50"])] }],
};

export const pictures = {
  type: "Card",
  size: "sm",
  children: [
    { type: "Image", src: PICTURE, alt: "A blue sky", flush: true, aspectRatio: 2 },
    row([
      { type: "Image", src: PICTURE, size: 56, radius: "md", frame: true, alt: "Small" },
      { type: "Image", src: PICTURE, width: 96, height: 56, fit: "contain", position: "top", background: "surface-tertiary", alt: "Contained" },
    ]),
  ],
};

export const collapsed = { type: "Card", collapsed: true, status: { text: "Saved", icon: "check" }, children: [text("The body")] };

export const basic = {
  type: "Basic",
  gap: 2,
  children: [
    { type: "Title", value: "Without a card", size: "sm" },
    { type: "Box", padding: { x: 3, y: 2 }, margin: { top: 1 }, border: { top: 2, bottom: { size: 1, color: "strong", style: "dashed" } }, radius: "lg", background: "surface-secondary", children: [text("In a box")] },
  ],
};

export const all = { weather, texts, buttons, form, list, chart, table, pictures, collapsed, basic };
