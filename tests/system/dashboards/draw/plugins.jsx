// Panels by their type names, drawn with the components of @grafana/ui. That package has no status history and no heatmap, so plain
// grids replace them.
import React from 'react';
import {
  PanelPlugin, cacheFieldDisplayNames, VizOrientation, getDisplayProcessor, getFieldDisplayName, getFieldDisplayValues,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizLegend, VizRepeater, useTheme2 } from '@grafana/ui';
import { OF_LINES, OF_TABLES, customOptions } from './options.js';
import { TableNG } from './node_modules/@grafana/ui/dist/esm/components/Table/TableNG/TableNG.mjs';

const Nothing = ({ text }) => (
  <div style={{ display: 'grid', placeItems: 'center', height: '100%', opacity: 0.7 }}>{text || 'No data'}</div>
);

function values(props, theme) {
  return getFieldDisplayValues({
    fieldConfig: props.fieldConfig,
    reduceOptions: props.options.reduceOptions,
    replaceVariables: props.replaceVariables,
    theme,
    data: props.data.series,
    timeZone: 'utc',
  });
}

function Stat(props) {
  const theme = useTheme2();
  const [first] = values(props, theme);
  return (
    <BigValue value={first.display} width={props.width} height={props.height} theme={theme} colorMode={props.options.colorMode}
      graphMode="none" justifyMode="auto" textMode="value" />
  );
}

function Bars(props) {
  const theme = useTheme2();
  if (!props.data.series.length) return <Nothing text={props.fieldConfig.defaults.noValue} />;
  const field = props.data.series[0].fields[1];
  const shown = values(props, theme);
  const top = Math.max(...shown.map((each) => each.display.numeric));
  const alignment = shown.reduce((longest, { display }) => ({
    title: display.title.length > longest.title.length ? display.title : longest.title,
    text: display.text.length > longest.text.length ? display.text : longest.text,
  }), { title: '', text: '' });
  return (
    <VizRepeater getValues={() => shown} width={props.width} height={props.height} source={props.data} itemSpacing={8}
      orientation={VizOrientation.Horizontal} renderCounter={props.renderCounter} minVizHeight={16} getAlignmentFactors={() => alignment}
      renderValue={({ value, width, height, alignmentFactors }) => (
        <BarGauge value={value.display} width={width} height={height} theme={theme} field={{ ...field.config, min: 0, max: top }}
          orientation={VizOrientation.Horizontal} displayMode="basic" namePlacement={props.options.namePlacement} alignmentFactors={alignmentFactors} text={props.options.text} showUnfilled />
      )} />
  );
}

function Lines(props) {
  if (!props.data.series.length) return <Nothing text={props.fieldConfig.defaults.noValue} />;
  return (
    <TimeSeries frames={props.data.series} structureRev={1} timeRange={props.timeRange} timeZone="utc" width={props.width}
      height={props.height} legend={{ calcs: [], ...props.options.legend }} options={props.options} replaceVariables={props.replaceVariables} />
  );
}

function Sheet(props) {
  const frame = props.data.series[0];
  if (!frame?.length) return <Nothing text={props.fieldConfig.defaults.noValue} />;
  cacheFieldDisplayNames([frame]);
  return (
    <TableNG data={frame} width={props.width} height={props.height} sortBy={props.options.sortBy} cellHeight={props.options.cellHeight}
      fieldConfig={props.fieldConfig} structureRev={1} timeRange={props.timeRange} getActions={() => []} enableVirtualization={false}
      replaceVariables={props.replaceVariables} noHeader={false} showTypeIcons={false} />
  );
}

function History(props) {
  const theme = useTheme2();
  const rows = props.data.series.map((frame) => {
    const field = frame.fields[1];
    const display = getDisplayProcessor({ field, theme });
    return { name: getFieldDisplayName(field, frame), cells: field.values.map((value) => (value === null ? null : display(value))) };
  });
  const named = new Map(rows.flatMap(({ cells }) => cells).filter(Boolean).map(({ text, color }) => [text, color]));
  const times = props.data.series[0]?.fields[0].values ?? [];
  const clock = (at) => new Date(at).toISOString().slice(11, 16);
  return (
    <div style={{ height: props.height, display: 'flex', flexDirection: 'column', fontSize: 12 }}>
      <div style={{ flex: 1, display: 'flex', flexDirection: 'column', gap: 3 }}>
        {rows.map(({ name, cells }) => (
          <div key={name} style={{ flex: 1, display: 'flex', alignItems: 'center', minHeight: 0 }}>
            <span style={{ width: 130, overflow: 'hidden', textAlign: 'right', paddingRight: 8, whiteSpace: 'nowrap' }}>{name}</span>
            <div style={{ flex: 1, display: 'flex', gap: 1, height: '85%' }}>
              {cells.map((cell, at) => <i key={at} style={{ flex: 1, background: cell?.color ?? 'transparent' }} />)}
            </div>
          </div>
        ))}
      </div>
      <div style={{ display: 'flex', justifyContent: 'space-between', paddingLeft: 130, opacity: 0.8 }}>
        {[0, 0.25, 0.5, 0.75, 1].map((part) => <span key={part}>{clock(times[Math.round(part * (times.length - 1))] ?? 0)}</span>)}
      </div>
      <VizLegend placement="bottom" displayMode="list" items={[...named].map(([label, color]) => ({ label, color, yAxis: 1 }))} />
    </div>
  );
}

// Cividis, readable with any colour vision.
const CIVIDIS = ['#00224E', '#123570', '#3B496C', '#575D6D', '#707173', '#8A8678', '#A59C74', '#C3B369', '#E1CC55', '#FEE838'];

function Warmth(props) {
  const rows = [...props.data.series].reverse();
  const top = Math.max(1, ...rows.flatMap((frame) => frame.fields[1].values));
  const color = (value) => (value > 0 ? CIVIDIS[Math.min(9, Math.floor(Math.sqrt(value / top) * 9.99))] : 'transparent');
  return (
    <div style={{ height: props.height, display: 'flex', flexDirection: 'column', gap: 1, fontSize: 11 }}>
      {rows.map((frame) => (
        <div key={frame.fields[1].labels.le} style={{ flex: 1, display: 'flex', gap: 1 }}>
          <span style={{ width: 56, textAlign: 'right', paddingRight: 6 }}>{frame.fields[1].labels.le} s</span>
          {frame.fields[1].values.map((value, at) => <i key={at} style={{ flex: 1, background: color(value) }} />)}
        </div>
      ))}
    </div>
  );
}

const plugin = (component, custom = {}) => new PanelPlugin(component).useFieldConfig({ useCustomConfig: customOptions(custom) });

export const PLUGINS = {
  stat: plugin(Stat),
  bargauge: plugin(Bars),
  timeseries: plugin(Lines, OF_LINES),
  table: plugin(Sheet, OF_TABLES),
  'status-history': plugin(History),
  heatmap: plugin(Warmth),
};
