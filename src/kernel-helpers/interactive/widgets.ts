import type { MimeBundle } from "../cell-outputs";
import { acceptComms, openComm, type Comm, type CommData } from "../comms";

/** The widget messaging protocol that is spoken, and the models' version (jupyter-widgets' packages/schema). */
const protocolVersion = "2.1.0";
const controlVersion = "1.0.0";
const modelVersion = "2.0.0";
const widgetTarget = "jupyter.widget";
const controlTarget = "jupyter.widget.control";
export const widgetViewType = "application/vnd.jupyter.widget-view+json";

/** A widget of ipywidgets' front end, driven from here. */
export interface Widget {
  readonly id: string;
  /** Its state as both sides know it. */
  readonly state: Readonly<CommData>;
  /** Changes the state here and in the front end. */
  set(changes: CommData): void;
  /** Calls `listener` with what the front end has changed. */
  onChange(listener: (changes: CommData) => void | Promise<void>): void;
  close(): void;
}

const widgets = new Map<string, Widget>();

/** Makes a widget of a model that the front end has, e.g. "FloatSlider" of @jupyter-widgets/controls, with the state that differs from nothing. */
function createWidget(name: string, state: CommData, style?: string, descriptionWidth = ""): Widget {
  return modelOf("@jupyter-widgets/controls", name, {
    _dom_classes: [], _view_count: null, tabbable: null, tooltip: null,
    layout: reference(modelOf("@jupyter-widgets/base", "Layout", {})),
    ...(style && { style: reference(modelOf("@jupyter-widgets/controls", style, { description_width: descriptionWidth }, "@jupyter-widgets/base", "StyleView")) }),
    ...state,
  });
}

function modelOf(module: string, name: string, own: CommData, viewModule = module, view = `${name}View`): Widget {
  const state: CommData = {
    _model_module: module, _model_module_version: modelVersion, _model_name: `${name}Model`,
    _view_module: viewModule, _view_module_version: modelVersion, _view_name: view,
    ...own,
  };
  const listeners: ((changes: CommData) => void | Promise<void>)[] = [];
  const comm: Comm = openComm(widgetTarget, { state, buffer_paths: [] }, {
    async onMessage(data) {
      if (data.method === "request_state") comm.send({ method: "update", state, buffer_paths: [] });
      if (data.method !== "update") return;
      const changes = data.state as CommData;
      Object.assign(state, changes);
      for (const listener of listeners) await listener(changes);
    },
    onClose: () => void widgets.delete(comm.id),
  }, { version: protocolVersion });
  const widget: Widget = {
    id: comm.id,
    state,
    set(changes) {
      Object.assign(state, changes);
      comm.send({ method: "update", state: changes, buffer_paths: [] });
    },
    onChange: (listener) => void listeners.push(listener),
    close() {
      widgets.delete(comm.id);
      comm.close();
    },
  };
  widgets.set(widget.id, widget);
  // A front end that connects later, a reloaded page say, asks for all widgets at once.
  acceptComms(controlTarget, answerControl);
  return widget;
}

function answerControl(comm: Comm): { onMessage: (data: CommData) => void } {
  return {
    onMessage(data) {
      if (data.method !== "request_states") return;
      const states = [...widgets.values()].map(({ id, state }) => {
        const { _model_name: model_name, _model_module: model_module, _model_module_version: model_module_version } = state;
        return [id, { model_name, model_module, model_module_version, state }];
      });
      comm.send({ method: "update_states", version: controlVersion, states: Object.fromEntries(states), buffer_paths: [] });
    },
  };
}

const reference = ({ id }: Widget): string => `IPY_MODEL_${id}`;

export interface DescriptionOptions {
  /** Room for the description, a CSS width such as "12ch", so that controls below one another begin at one place; by default the front end's, about ten letters. */
  descriptionWidth?: string;
}

/** Numbers from `min` to `max`; state.value is where it stands. */
export function sliderWidget(description: string, { min, max, step, value }: { min: number; max: number; step: number; value: number }, { descriptionWidth }: DescriptionOptions = {}): Widget {
  const isWhole = [min, max, step, value].every(Number.isInteger);
  const digits = Math.min(6, Math.max(0, ...[min, step].map((number) => (String(number).split(".")[1] ?? "").length)));
  return createWidget(isWhole ? "IntSlider" : "FloatSlider", {
    description, min, max, step, value, behavior: "drag-tap", continuous_update: true, description_allow_html: false, disabled: false,
    orientation: "horizontal", readout: true, readout_format: isWhole ? "d" : `.${digits}f`,
  }, "SliderStyle", descriptionWidth);
}

/** A list to pick from; state.index is the place of what is picked. */
export function dropdownWidget(description: string, labels: readonly string[], index: number, { descriptionWidth }: DescriptionOptions = {}): Widget {
  return createWidget("Dropdown", { description, _options_labels: [...labels], index, description_allow_html: false, disabled: false }, "DescriptionStyle", descriptionWidth);
}

/** HTML; whoever sets state.value has escaped it. */
export function htmlWidget(value: string): Widget {
  return createWidget("HTML", { value, description: "", description_allow_html: false, placeholder: "" }, "HTMLStyle");
}

/** Widgets below one another. */
export function verticalBox(children: readonly Widget[]): Widget {
  return createWidget("VBox", { children: children.map(reference), box_style: "" });
}

/** The form of a display that shows a widget. */
export function widgetView({ id }: Widget): MimeBundle {
  return { [widgetViewType]: { version_major: 2, version_minor: 0, model_id: id } };
}
