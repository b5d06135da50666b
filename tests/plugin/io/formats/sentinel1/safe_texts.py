"""The XML files of small Sentinel-1 GRD products, schema-exact, made from their definitions.

Sub-swaths start one after another and their borders move once, as in real products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pyproj

START = datetime(2019, 8, 23, 4, 30, 12, 345678)
LINE_TIME = 0.006  # seconds between lines
ROOT = (
    '<xfdu:XFDU xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:gml="http://www.opengis.net/gml" '
    'xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0" '
    'xmlns:s1="http://www.esa.int/safe/sentinel-1.0/sentinel-1" '
    'xmlns:s1sar="http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar" '
    'xmlns:s1sarl1="http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1" '
    'xmlns:s1sarl2="http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-2" '
    'xmlns:gx="http://www.google.com/kml/ext/2.2" version="esa/safe/sentinel-1.0/sentinel-1/sar/level-1/grd">'
)

DESCRIPTION = 'classification="DESCRIPTION" category="DMD"'


def geolocation(place: tuple[float, float], rows: int, cols: int, size: float, heading: float = 193.0):
    """Return a function from indices of samples (line, pixel) to exact longitude and latitude."""
    lon, lat = place
    plane = pyproj.Proj(f"+proj=stere +lat_0={lat} +lon_0={lon} +ellps=WGS84 +units=m")
    turn = np.radians(heading)

    def at(line, pixel):
        along = (np.asarray(line, float) + 0.5 - rows / 2) * size
        across = (np.asarray(pixel, float) + 0.5 - cols / 2) * size
        east = along * np.sin(turn) + across * np.cos(turn)
        north = along * np.cos(turn) - across * np.sin(turn)
        return plane(east, north, inverse=True)

    return at


def sub_swaths(mode: str, rows: int, cols: int) -> list[tuple[str, int, int, int, int]]:
    """Return (swath, first line, last line, first pixel, last pixel) of all azimuth blocks."""
    number = 5 if mode == "EW" else 3
    starts = [i * max(1, rows // 40) for i in range(number)]
    change = rows // 2
    early = [round(cols * i / number) for i in range(number + 1)]
    late = [early[0], *(edge - 3 for edge in early[1:-1]), early[-1]]
    blocks = []
    for i in range(number):
        name = f"{mode}{i + 1}"
        if i + 1 < number and starts[i + 1] > starts[i]:
            # Until the next sub-swath starts, this one reaches a little into it.
            blocks.append((name, starts[i], starts[i + 1] - 1, early[i], early[i + 1] + 1))
            blocks.append((name, starts[i + 1], change - 1, early[i], early[i + 1] - 1))
        else:
            blocks.append((name, starts[i], change - 1, early[i], early[i + 1] - 1))
    blocks += [(f"{mode}{i + 1}", change, rows - 1, late[i], late[i + 1] - 1) for i in range(number)]
    return blocks


def _numbers(values, digits: str = ".6e") -> str:
    return " ".join(format(float(value), digits) for value in values)


def _whole(values) -> str:
    return " ".join(str(int(value)) for value in values)


def _time(line: float) -> str:
    return (START + timedelta(seconds=float(line) * LINE_TIME)).isoformat(timespec="microseconds")


def _header(name: str, pol: str, mode: str, rows: int, product_type: str) -> str:
    return f"""  <adsHeader>
    <missionId>S1A</missionId>
    <productType>{product_type}</productType>
    <polarisation>{pol.upper()}</polarisation>
    <mode>{mode}</mode>
    <swath>{mode}</swath>
    <startTime>{_time(0)}</startTime>
    <stopTime>{_time(rows - 1)}</stopTime>
    <absoluteOrbitNumber>28700</absoluteOrbitNumber>
    <missionDataTakeId>212826</missionDataTakeId>
    <imageNumber>{name}</imageNumber>
  </adsHeader>
"""


def lattice(count: int, step: int) -> list[int]:
    """Return every `step`-th index and the last one."""
    return sorted({*range(0, count, step), count - 1})


def annotation(
    number: str,
    pol: str,
    mode: str,
    rows: int,
    cols: int,
    size: float,
    place: tuple[float, float],
    product_type: str = "GRD",
    step: tuple[int, int] | None = None,
) -> str:
    """Return an annotation file."""
    lines, pixels = (lattice(n, s) for n, s in zip((rows, cols), step or (rows // 6 or 1, cols // 8 or 1)))
    at = geolocation(place, rows, cols, size)
    points = []
    for line in lines:
        for pixel in pixels:
            lon, lat = at(line, pixel)
            angle = 19.0 + 28.0 * (pixel / cols) ** 0.9 + 0.02 * line / rows
            points.append(f"""      <geolocationGridPoint>
        <azimuthTime>{_time(line)}</azimuthTime>
        <slantRangeTime>{4.96e-3 + 1e-7 * pixel:.15e}</slantRangeTime>
        <line>{line}</line>
        <pixel>{pixel}</pixel>
        <latitude>{lat:.15e}</latitude>
        <longitude>{lon:.15e}</longitude>
        <height>{0.0:.15e}</height>
        <incidenceAngle>{angle:.15e}</incidenceAngle>
        <elevationAngle>{angle * 0.88:.15e}</elevationAngle>
      </geolocationGridPoint>
""")
    merges = []
    blocks = sub_swaths(mode, rows, cols)
    for swath in sorted({block[0] for block in blocks}):
        own = [block for block in blocks if block[0] == swath]
        bounds = "".join(
            f"""          <swathBounds>
            <azimuthTime>{_time(a)}</azimuthTime>
            <firstAzimuthLine>{a}</firstAzimuthLine>
            <firstRangeSample>{c}</firstRangeSample>
            <lastAzimuthLine>{b}</lastAzimuthLine>
            <lastRangeSample>{d}</lastRangeSample>
          </swathBounds>
"""
            for _, a, b, c, d in own
        )
        merges.append(f"""      <swathMerge>
        <swath>{swath}</swath>
        <swathBoundsList count="{len(own)}">
{bounds}        </swathBoundsList>
      </swathMerge>
""")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<product>
{_header(number, pol, mode, rows, product_type)}  <generalAnnotation>
    <productInformation>
      <pass>Descending</pass>
      <timelinessCategory>Fast-24h</timelinessCategory>
      <platformHeading>-1.670000000000000e+02</platformHeading>
      <projection>Ground Range</projection>
      <rangeSamplingRate>2.502314816000000e+07</rangeSamplingRate>
      <radarFrequency>5.405000454334350e+09</radarFrequency>
      <azimuthSteeringRate>2.390895448000000e+00</azimuthSteeringRate>
    </productInformation>
  </generalAnnotation>
  <imageAnnotation>
    <imageInformation>
      <productFirstLineUtcTime>{_time(0)}</productFirstLineUtcTime>
      <productLastLineUtcTime>{_time(rows - 1)}</productLastLineUtcTime>
      <productComposition>Slice</productComposition>
      <slantRangeTime>4.960000000000000e-03</slantRangeTime>
      <pixelValue>Detected</pixelValue>
      <outputPixels>16 bit Unsigned Integer</outputPixels>
      <rangePixelSpacing>{size:.6e}</rangePixelSpacing>
      <azimuthPixelSpacing>{size:.6e}</azimuthPixelSpacing>
      <azimuthTimeInterval>{LINE_TIME:.15e}</azimuthTimeInterval>
      <numberOfSamples>{cols}</numberOfSamples>
      <numberOfLines>{rows}</numberOfLines>
      <incidenceAngleMidSwath>3.443988653986429e+01</incidenceAngleMidSwath>
    </imageInformation>
    <processingInformation>
      <rawDataAnalysisUsed>true</rawDataAnalysisUsed>
      <thermalNoiseCorrectionPerformed>false</thermalNoiseCorrectionPerformed>
      <ellipsoidName>WGS84</ellipsoidName>
      <ellipsoidSemiMajorAxis>6.378137000000000e+06</ellipsoidSemiMajorAxis>
      <ellipsoidSemiMinorAxis>6.356752314245000e+06</ellipsoidSemiMinorAxis>
    </processingInformation>
  </imageAnnotation>
  <geolocationGrid>
    <geolocationGridPointList count="{len(points)}">
{"".join(points)}    </geolocationGridPointList>
  </geolocationGrid>
  <swathMerging>
    <swathMergeList count="{len(merges)}">
{"".join(merges)}    </swathMergeList>
  </swathMerging>
</product>
"""


def calibration(number: str, pol: str, mode: str, rows: int, cols: int) -> str:
    """Return a calibration file: A falls with range and varies along the flight."""
    pixels = np.array(lattice(cols, max(1, cols // 20)))
    lines = lattice(rows + 40, max(1, rows // 5))
    vectors = []
    for line in lines:
        sigma = (600.0 - 150.0 * (pixels / cols) ** 0.7) * (1 + 0.02 * np.sin(line / rows * 5))
        flat = np.full(len(pixels), 474.0)
        count = f'count="{len(pixels)}"'
        vectors.append(f"""    <calibrationVector>
      <azimuthTime>{_time(line)}</azimuthTime>
      <line>{line}</line>
      <pixel {count}>{_whole(pixels)}</pixel>
      <sigmaNought {count}>{_numbers(sigma)}</sigmaNought>
      <betaNought {count}>{_numbers(flat)}</betaNought>
      <gamma {count}>{_numbers(sigma * 0.97)}</gamma>
      <dn {count}>{_numbers(flat)}</dn>
    </calibrationVector>
""")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<calibration>
{_header(number, pol, mode, rows, "GRD")}  <calibrationInformation>
    <absoluteCalibrationConstant>1.000000e+00</absoluteCalibrationConstant>
  </calibrationInformation>
  <calibrationVectorList count="{len(vectors)}">
{"".join(vectors)}  </calibrationVectorList>
</calibration>
"""


def noise(number: str, pol: str, mode: str, rows: int, cols: int, table: str = "azimuth") -> str:
    """Return a noise file.

    `table` is ``azimuth`` (since IPF 2.9), ``range`` (the older format) or ``zero`` (range and
    azimuth vectors, all range values zero).
    """
    level = {"hh": 900.0, "vv": 900.0}.get(pol, 700.0)
    blocks = sub_swaths(mode, rows, cols)
    step = max(2, cols // 25)
    lines = sorted({0, *range(rows // 24, rows, max(1, rows // 7)), rows - 1})
    vectors = []
    for line in lines:
        if table == "range":
            pixels = np.array(lattice(cols, step))
            values = level * (1.2 + np.sin(pixels / cols * 9) + 0.1 * line / rows)
        else:
            parts, pixels_used = [], 0
            for swath, _, _, c, d in [b for b in blocks if b[1] <= line <= b[2]]:
                d = min(d, cols - 1)
                own = np.array(sorted({*range(c, d + 1, step), d}))
                place = (own - c) / (d - c + 1)
                bump = 1.3 + (2 * place - 1) ** 2 + 0.15 * int(swath[-1]) + 0.1 * np.cos(line / rows * 6)
                values_here = level * bump
                if swath[-1] == blocks[-1][0][-1]:
                    values_here[-1] = 0.0  # as at the end of real products
                parts.append((own, values_here))
                pixels_used = d + 1
            if pixels_used < cols:
                rest = np.array(sorted({*range(pixels_used, cols, step), cols - 1}))
                parts.append((rest, np.zeros(len(rest))))
            pixels, values = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
            pixels, first = np.unique(pixels, return_index=True)
            values = values[first] * (table != "zero")
        kind, lut = ("noiseVector", "noiseLut") if table == "range" else ("noiseRangeVector", "noiseRangeLut")
        vectors.append(f"""    <{kind}>
      <azimuthTime>{_time(line)}</azimuthTime>
      <line>{line}</line>
      <pixel count="{len(pixels)}">{_whole(pixels)}</pixel>
      <{lut} count="{len(pixels)}">{_numbers(values)}</{lut}>
    </{kind}>
""")
    name = "noiseVector" if table == "range" else "noiseRangeVector"
    body = f'  <{name}List count="{len(vectors)}">\n{"".join(vectors)}  </{name}List>\n'
    if table != "range":
        azimuth = []
        for swath, a, b, c, d in blocks:
            own = sorted({a, *range(-(-a // 5) * 5, b + 1, 5)})
            factors = 1.1 + 0.1 * np.cos(np.array(own) / 7.0 + int(swath[-1]))
            azimuth.append(f"""    <noiseAzimuthVector>
      <swath>{swath}</swath>
      <firstAzimuthLine>{a}</firstAzimuthLine>
      <firstRangeSample>{c}</firstRangeSample>
      <lastAzimuthLine>{b}</lastAzimuthLine>
      <lastRangeSample>{min(d, cols - 1)}</lastRangeSample>
      <line count="{len(own)}">{_whole(own)}</line>
      <noiseAzimuthLut count="{len(own)}">{_numbers(factors)}</noiseAzimuthLut>
    </noiseAzimuthVector>
""")
        body += f'  <noiseAzimuthVectorList count="{len(azimuth)}">\n{"".join(azimuth)}  </noiseAzimuthVectorList>\n'
    header = _header(number, pol, mode, rows, "GRD")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<noise>\n{header}{body}</noise>\n'


def manifest(
    images: Sequence[tuple[str, str]], mode: str, ipf: str, product_type: str, sizes: Mapping[str, int]
):
    """Return the manifest of images given as (id, stem of the file names)."""
    units, objects, described = [], [], []
    for identifier, stem in images:
        entries = (
            ("product", "Product", "Metadata Unit", f"annotation/{stem}.xml"),
            ("noise", "Noise", "Metadata Unit", f"annotation/calibration/noise-{stem}.xml"),
            ("calibration", "Calibration", "Metadata Unit", f"annotation/calibration/calibration-{stem}.xml"),
            ("", "Measurement", "Measurement Data Unit", f"measurement/{stem}.tiff"),
        )
        for prefix, schema, unit, href in entries:
            mime = "application/octet-stream" if schema == "Measurement" else "text/xml"
            about = ""
            if schema == "Measurement":
                about = " ".join(
                    f"{part}{identifier}Annotation" for part in ("product", "noise", "calibration")
                )
                about = f' dmdID="{about} "'
            else:
                described.append(f"""    <metadataObject ID="{prefix}{identifier}Annotation" {DESCRIPTION}>
      <dataObjectPointer dataObjectID="{prefix}{identifier}"/>
    </metadataObject>
""")
            units.append(f"""      <xfdu:contentUnit unitType="{unit}" repID="s1Level1{schema}Schema"{about}>
        <dataObjectPointer dataObjectID="{prefix}{identifier}"/>
      </xfdu:contentUnit>
""")
            objects.append(f"""    <dataObject ID="{prefix}{identifier}" repID="s1Level1{schema}Schema">
      <byteStream mimeType="{mime}" size="{sizes.get(href, 0)}">
        <fileLocation locatorType="URL" href="./{href}"/>
        <checksum checksumName="MD5">00000000000000000000000000000000</checksum>
      </byteStream>
    </dataObject>
""")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
{ROOT}
  <informationPackageMap>
    <xfdu:contentUnit unitType="SAFE Archive Information Package" textInfo="Sentinel-1 {mode} Level-1 GRD Product">
{"".join(units)}    </xfdu:contentUnit>
  </informationPackageMap>
  <metadataSection>
{"".join(described)}    <metadataObject ID="processing" classification="PROVENANCE" category="PDI">
      <metadataWrap mimeType="text/xml" vocabularyName="SAFE" textInfo="Processing">
        <xmlData>
          <safe:processing name="GRD Post Processing" start="2019-08-23T07:11:45.483721" stop="2019-08-23T07:19:57">
            <safe:facility country="Italy" name="Copernicus Ground Segment" organisation="ESA" site="Production">
              <safe:software name="Sentinel-1 IPF" version="{ipf}"/>
            </safe:facility>
          </safe:processing>
        </xmlData>
      </metadataWrap>
    </metadataObject>
    <metadataObject ID="platform" {DESCRIPTION}>
      <metadataWrap mimeType="text/xml" vocabularyName="SAFE" textInfo="Platform Description">
        <xmlData>
          <safe:platform>
            <safe:nssdcIdentifier>2014-016A</safe:nssdcIdentifier>
            <safe:familyName>SENTINEL-1</safe:familyName>
            <safe:number>A</safe:number>
            <safe:instrument>
              <safe:familyName abbreviation="SAR">Synthetic Aperture Radar</safe:familyName>
              <safe:extension>
                <s1sarl1:instrumentMode>
                  <s1sarl1:mode>{mode}</s1sarl1:mode>
                  <s1sarl1:swath>{mode}</s1sarl1:swath>
                </s1sarl1:instrumentMode>
              </safe:extension>
            </safe:instrument>
          </safe:platform>
        </xmlData>
      </metadataWrap>
    </metadataObject>
    <metadataObject ID="measurementOrbitReference" {DESCRIPTION}>
      <metadataWrap mimeType="text/xml" vocabularyName="SAFE" textInfo="Orbit Reference">
        <xmlData>
          <safe:orbitReference>
            <safe:orbitNumber type="start">28700</safe:orbitNumber>
            <safe:relativeOrbitNumber type="start">20</safe:relativeOrbitNumber>
            <safe:extension>
              <s1:orbitProperties>
                <s1:pass>DESCENDING</s1:pass>
                <s1:ascendingNodeTime>2019-08-23T04:04:00.000000</s1:ascendingNodeTime>
              </s1:orbitProperties>
            </safe:extension>
          </safe:orbitReference>
        </xmlData>
      </metadataWrap>
    </metadataObject>
    <metadataObject ID="acquisitionPeriod" {DESCRIPTION}>
      <metadataWrap mimeType="text/xml" vocabularyName="SAFE" textInfo="Acquisition Period">
        <xmlData>
          <safe:acquisitionPeriod>
            <safe:startTime>{_time(0)}</safe:startTime>
            <safe:stopTime>{_time(0)}</safe:stopTime>
          </safe:acquisitionPeriod>
        </xmlData>
      </metadataWrap>
    </metadataObject>
    <metadataObject ID="generalProductInformation" {DESCRIPTION}>
      <metadataWrap mimeType="text/xml" vocabularyName="SAFE" textInfo="General Product Information">
        <xmlData>
          <s1sarl1:standAloneProductInformation>
            <s1sarl1:productClass>S</s1sarl1:productClass>
            <s1sarl1:productType>{product_type}</s1sarl1:productType>
          </s1sarl1:standAloneProductInformation>
        </xmlData>
      </metadataWrap>
    </metadataObject>
  </metadataSection>
  <dataObjectSection>
{"".join(objects)}  </dataObjectSection>
</xfdu:XFDU>
"""
