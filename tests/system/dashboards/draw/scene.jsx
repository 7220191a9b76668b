// A committed dashboard as a scene: its variables, its grid, its panels with their data, transformed and dressed by Grafana's code.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { map } from 'rxjs';
import {
  EventBusSrv, FieldType, LoadingState, ThemeContext, createTheme, dateTime, standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers,
  standardTransformersRegistry,
} from '@grafana/data';
import { config, setAppEvents, setPluginImportUtils } from '@grafana/runtime';
import {
  ConstantVariable, CustomVariable, EmbeddedScene, SceneDataNode, SceneDataTransformer, SceneGridItem, SceneGridLayout, SceneGridRow,
  SceneTimeRange, SceneVariableSet, VariableValueSelectors, VizPanel, sceneUtils,
} from '@grafana/scenes';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { standardOptions } from './options.js';
import { frames } from './answers.js';
import { PLUGINS } from './plugins.jsx';

// The one transformation that lives in Grafana itself: each series of a query becomes a cell with its curve.
const seriesToCells = {
  id: 'timeSeriesTable',
  name: 'Time series to table',
  operator: () => (source) => source.pipe(map((all) => {
    const made = new Map();
    for (const frame of all) {
      const field = frame.fields.find(({ type }) => type === FieldType.number);
      const rows = made.get(frame.refId) ?? [];
      rows.push({ labels: field.labels, cell: { ...frame, value: field.values.at(-1) } });
      made.set(frame.refId, rows);
    }
    return [...made].map(([refId, rows]) => ({
      refId,
      length: rows.length,
      fields: [
        ...Object.keys(rows[0].labels).map((name) => ({
          name, type: FieldType.string, config: {}, values: rows.map(({ labels }) => labels[name]),
        })),
        { name: `Trend #${refId}`, type: FieldType.frame, config: {}, values: rows.map(({ cell }) => cell) },
      ],
    }));
  })),
};

function prepare(theme) {
  standardEditorsRegistry.setInit(() => []);
  standardFieldConfigEditorRegistry.setInit(standardOptions);
  const known = [...new Map([...Object.values(standardTransformers), seriesToCells].map((each) => [each.id, each])).values()];
  standardTransformersRegistry.setInit(() => known.map((transformation) => ({ id: transformation.id, name: transformation.id, transformation })));
  config.theme2 = theme;
  setAppEvents(new EventBusSrv());
  setPluginImportUtils({ getPanelPluginFromCache: (name) => PLUGINS[name], importPanelPlugin: async (name) => PLUGINS[name] });
  for (const [pluginId, plugin] of Object.entries(PLUGINS)) sceneUtils.registerRuntimePanelPlugin({ pluginId, plugin });
}

function variable(each, chosen) {
  const { name, label } = each;
  if (each.type === 'constant') return new ConstantVariable({ name, value: each.query, hide: 2 });
  const text = chosen[name] ?? (each.type === 'datasource' ? 'Prometheus' : 'All');
  return new CustomVariable({ name, label, query: text, value: text, text });
}

function panelOf(json, data, range) {
  const raw = new SceneDataNode({ data: { state: LoadingState.Done, series: data, timeRange: range } });
  const $data = json.transformations?.length ? new SceneDataTransformer({ $data: raw, transformations: json.transformations }) : raw;
  const { title, description, options, fieldConfig, type } = json;
  return new VizPanel({ title, description, pluginId: type, options, fieldConfig, $data });
}

async function scene({ dashboard, url, from, to, step, chosen }) {
  const set = { __range: `${to - from}s`, __rate_interval: '5m' };
  for (const each of dashboard.templating.list) set[each.name] = chosen[each.name] ?? (each.type === 'constant' ? each.query : '.+');
  const fill = (text) => text.replace(/\$\{?([a-z_]+)\}?/g, (_, name) => set[name]);
  const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: dateTime(from * 1000), to: dateTime(to * 1000) } };
  const children = await Promise.all(dashboard.panels.map(async ({ gridPos, ...json }) => {
    const place = { x: gridPos.x, y: gridPos.y, width: gridPos.w, height: gridPos.h };
    if (json.type === 'row') return new SceneGridRow({ ...place, title: json.title, isCollapsible: false });
    return new SceneGridItem({ ...place, body: panelOf(json, await frames(url, json, fill, { from, to, step }), range) });
  }));
  return new EmbeddedScene({
    $timeRange: new SceneTimeRange({ from: range.from.toISOString(), to: range.to.toISOString(), timeZone: 'utc' }),
    $variables: new SceneVariableSet({ variables: dashboard.templating.list.map((each) => variable(each, chosen)) }),
    controls: [new VariableValueSelectors({})],
    body: new SceneGridLayout({ children }),
  });
}

async function draw(wanted) {
  const theme = createTheme({ colors: { mode: 'dark' } });
  prepare(theme);
  const made = await scene(wanted);
  const hours = `${new Date(wanted.from * 1000).toISOString().slice(0, 16).replace('T', ' ')} to ${new Date(wanted.to * 1000).toISOString().slice(11, 16)} UTC`;
  createRoot(document.getElementById('place')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <MemoryRouter>
        <div style={{ display: 'flex', justifyContent: 'space-between', padding: '10px 16px 0' }}>
          <h1 style={{ fontSize: 18, margin: 0 }}>{wanted.dashboard.title}</h1>
          <span>{hours}</span>
        </div>
        <made.Component model={made} />
        <PortalContainer />
      </MemoryRouter>
    </ThemeContext.Provider>
  );
  const drawn = () => document.querySelectorAll('.react-grid-item').length > 0;
  while (!drawn()) await new Promise((wait) => setTimeout(wait, 50));
  document.title = 'drawn';
}

draw(window.wanted).catch((error) => {
  document.title = `failed: ${error.message}`;
  throw error;
});
